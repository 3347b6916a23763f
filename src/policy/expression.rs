//! A rule's condition: compiled once, checked against the declared variables, bounded.
//!
//! Only what is listed here is CEL to a policy: no macros and so no loops, no optional values, no functions but
//! a few on text and numbers. A condition is at most as much work as it is long.

use std::{collections::BTreeSet, sync::Arc};

use cel::{
    Context, Env, Program,
    common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators},
    common::types::CelBool,
};

use super::{
    provenance::Group,
    types::{Kind, VARIABLES, Variable, variable},
};

/// Longest condition, bytes.
pub const CONDITION_LEN_MAX: usize = 2000;

/// A condition that was checked.
pub(super) struct Condition {
    expression: IdedExpr,
    /// Parts of the profile that it reads.
    pub(super) reads: BTreeSet<Group>,
}

/// What is wrong with a condition, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// Bytes from its start.
    pub(super) offset: usize,
    pub(super) message: String,
}

/// The environment of all conditions: operators, and the functions that a check lets through.
pub(super) fn environment() -> Arc<Env> {
    Arc::new(Env::default().with_optional_support(false).with_stdlib())
}

impl Condition {
    /// Compiles and checks a condition; all faults at once.
    pub(super) fn compile(env: &Env, text: &str) -> Result<Self, Vec<Fault>> {
        if text.len() > CONDITION_LEN_MAX {
            let message = format!("has {} bytes; at most {CONDITION_LEN_MAX}", text.len());
            return Err(vec![Fault { offset: 0, message }]);
        }
        let program = env.compile(text).map_err(|errors| {
            let fault = |error: cel::ParseError| Fault {
                offset: offset(text, error.pos),
                message: format!("is not CEL: {}", error.msg),
            };
            errors.errors.into_iter().map(fault).collect::<Vec<_>>()
        })?;
        let mut check = Check { program: &program, faults: Vec::new(), reads: BTreeSet::new() };
        let found = check.kind(program.expression());
        check.expect(program.expression(), found, Type::Is(Kind::Bool), "a condition");
        let Check { faults, reads, .. } = check;
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut expression = program.expression().clone();
        join_members(&mut expression);
        Ok(Self { expression, reads })
    }

    /// Whether it holds; words if it cannot be decided.
    pub(super) fn holds(&self, context: &Context) -> Result<bool, String> {
        let value = cel::Value::resolve_val(&self.expression, context).map_err(|e| e.to_string())?;
        let value = value.downcast_ref::<CelBool>().map(|value| *value.inner());
        value.ok_or_else(|| "is neither true nor false".into())
    }
}

/// Makes one name of a variable and its member, `change.in_band`. CEL would look for each part on its own,
/// and make a value of the variable to take the member out of it.
fn join_members(at: &mut IdedExpr) {
    match &mut at.expr {
        Expr::Select(select) => {
            if let Expr::Ident(variable) = &select.operand.expr {
                at.expr = Expr::Ident(format!("{variable}.{}", select.field));
            } else {
                join_members(&mut select.operand);
            }
        }
        Expr::Call(call) => {
            call.target.iter_mut().for_each(|target| join_members(target));
            call.args.iter_mut().for_each(join_members);
        }
        Expr::List(list) => list.elements.iter_mut().for_each(join_members),
        _ => {}
    }
}

/// The byte at which CEL's line and column stand; both count from 1.
fn offset(text: &str, (line, column): (isize, isize)) -> usize {
    let line = usize::try_from(line - 1).unwrap_or(0);
    let column = usize::try_from(column - 1).unwrap_or(0);
    let before: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    (before + column).min(text.len())
}

/// The type of a part of a condition.
#[derive(Clone, Copy, PartialEq)]
enum Type {
    Is(Kind),
    Variable(&'static Variable),
    /// Something wrong, and said already.
    Unknown,
}

impl PartialEq for Variable {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Type {
    fn name(self) -> String {
        match self {
            Self::Is(kind) => kind.name().to_owned(),
            Self::Variable(variable) => format!("the variable {}", variable.name),
            Self::Unknown => "unknown".to_owned(),
        }
    }

    fn is_number(self) -> bool {
        matches!(self, Self::Is(Kind::Int | Kind::Double) | Self::Unknown)
    }
}

struct Check<'p> {
    program: &'p Program,
    faults: Vec<Fault>,
    reads: BTreeSet<Group>,
}

impl Check<'_> {
    fn fault(&mut self, at: &IdedExpr, message: impl Into<String>) -> Type {
        let start = self.program.source_info().offset_for(at.id).map_or(0, |(start, _)| start);
        self.faults.push(Fault { offset: start as usize, message: message.into() });
        Type::Unknown
    }

    fn expect(&mut self, at: &IdedExpr, found: Type, needed: Type, whose: &str) {
        if found != needed && found != Type::Unknown {
            self.fault(at, format!("{whose} must be {}, but this is {}", needed.name(), found.name()));
        }
    }

    fn kind(&mut self, at: &IdedExpr) -> Type {
        match &at.expr {
            Expr::Literal(literal) => match literal {
                LiteralValue::Boolean(_) => Type::Is(Kind::Bool),
                LiteralValue::Int(_) => Type::Is(Kind::Int),
                LiteralValue::Double(_) => Type::Is(Kind::Double),
                LiteralValue::String(_) => Type::Is(Kind::Text),
                _ => self.fault(at, "null, bytes and unsigned numbers are not used in a policy"),
            },
            Expr::Ident(name) => match variable(name) {
                Some(variable) => Type::Variable(variable),
                None => {
                    let known: Vec<_> = VARIABLES.iter().map(|variable| variable.name).collect();
                    self.fault(at, format!("there is no variable {name:?}; there are {}", known.join(", ")))
                }
            },
            Expr::Select(select) if !select.test => {
                let operand = self.kind(&select.operand);
                self.member(at, operand, &select.field)
            }
            Expr::List(list) if list.optional_indices.is_empty() => {
                for element in &list.elements {
                    let found = self.kind(element);
                    self.expect(element, found, Type::Is(Kind::Text), "an element of a list");
                }
                Type::Is(Kind::Names)
            }
            Expr::Call(call) => self.call(at, call),
            _ => self.fault(
                at,
                "is not used in a policy: only variables, operators, texts, numbers and lists are",
            ),
        }
    }

    fn member(&mut self, at: &IdedExpr, of: Type, name: &str) -> Type {
        match of {
            Type::Variable(variable) => match variable.member(name) {
                Some(member) => {
                    self.reads.extend(member.group);
                    Type::Is(member.kind)
                }
                None => {
                    let known: Vec<_> = variable.members().map(|member| member.name).collect();
                    let message =
                        format!("{} has no member {name:?}; it has {}", variable.name, known.join(", "));
                    self.fault(at, message)
                }
            },
            Type::Is(Kind::Deltas) => Type::Is(Kind::Numbers),
            Type::Is(Kind::Numbers) => Type::Is(Kind::Double),
            Type::Unknown => Type::Unknown,
            Type::Is(kind) => self.fault(at, format!("{} has no member {name:?}", kind.name())),
        }
    }

    fn call(&mut self, at: &IdedExpr, call: &CallExpr) -> Type {
        let target = call.target.as_deref();
        let args: Vec<(&IdedExpr, Type)> =
            target.into_iter().chain(&call.args).map(|part| (part, Type::Unknown)).collect();
        let args: Vec<(&IdedExpr, Type)> =
            args.into_iter().map(|(part, _)| (part, self.kind(part))).collect();
        match (target.is_some(), call.func_name.as_str(), args.as_slice()) {
            (false, operators::LOGICAL_AND | operators::LOGICAL_OR, [left, right]) => {
                self.all(&[*left, *right], Kind::Bool, "each side of && and ||");
                Type::Is(Kind::Bool)
            }
            (false, operators::LOGICAL_NOT, [operand]) => {
                self.all(&[*operand], Kind::Bool, "what ! negates");
                Type::Is(Kind::Bool)
            }
            (false, operators::CONDITIONAL, [condition, yes, no]) => {
                self.all(&[*condition], Kind::Bool, "the condition before ?");
                self.expect(no.0, no.1, yes.1, "what follows :");
                yes.1
            }
            (false, operators::EQUALS | operators::NOT_EQUALS, [left, right]) => self.comparison(at, *left, *right),
            (
                false,
                operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS,
                [left, right],
            ) => self.order(at, *left, *right),
            (
                false,
                operators::ADD | operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE,
                [left, right],
            ) => self.arithmetic(at, *left, *right),
            (false, operators::NEGATE, [(_, operand)]) if operand.is_number() => *operand,
            (false, operators::IN, [left, right]) => self.membership(at, *left, *right),
            (false, operators::INDEX, [(_, of), key]) => match of {
                Type::Is(Kind::Deltas | Kind::Numbers) => {
                    self.all(&[*key], Kind::Text, "the key of a map");
                    self.member(at, *of, "")
                }
                _ => self.mismatch(at, "[ ]", &args),
            },
            (_, "size", [(_, Type::Is(Kind::Names | Kind::Numbers | Kind::Deltas | Kind::Text) | Type::Unknown)]) => {
                Type::Is(Kind::Int)
            }
            (false, "double", [(_, operand)]) if operand.is_number() => Type::Is(Kind::Double),
            (true, "startsWith" | "endsWith" | "contains", [text, part]) => {
                self.all(&[*text, *part], Kind::Text, "text and its part");
                Type::Is(Kind::Bool)
            }
            (_, "size" | "double" | operators::NEGATE, _) => self.mismatch(at, &call.func_name, &args),
            (_, name, _) => self.fault(
                at,
                format!("{name} is not used in a policy: there are && || ! == != < <= > >= + - * / in ?: [], size, double, startsWith, endsWith and contains"),
            ),
        }
    }

    fn all(&mut self, parts: &[(&IdedExpr, Type)], needed: Kind, whose: &str) {
        for (at, found) in parts {
            self.expect(at, *found, Type::Is(needed), whose);
        }
    }

    fn mismatch(&mut self, at: &IdedExpr, what: &str, parts: &[(&IdedExpr, Type)]) -> Type {
        if parts.iter().any(|(_, kind)| *kind == Type::Unknown) {
            return Type::Unknown;
        }
        let kinds: Vec<_> = parts.iter().map(|(_, kind)| kind.name()).collect();
        self.fault(at, format!("{what} does not work on {}", kinds.join(" and ")))
    }

    fn comparison(&mut self, at: &IdedExpr, left: (&IdedExpr, Type), right: (&IdedExpr, Type)) -> Type {
        let scalar = |kind| matches!(kind, Type::Is(Kind::Bool | Kind::Text | Kind::Names));
        let fits = left.1.is_number() && right.1.is_number() || left.1 == right.1 && scalar(left.1);
        if !fits {
            self.mismatch(at, "== or !=", &[left, right]);
        }
        Type::Is(Kind::Bool)
    }

    fn order(&mut self, at: &IdedExpr, left: (&IdedExpr, Type), right: (&IdedExpr, Type)) -> Type {
        let fits = left.1.is_number() && right.1.is_number()
            || left.1 == Type::Is(Kind::Text) && right.1 == Type::Is(Kind::Text);
        if !fits {
            self.mismatch(at, "<, <=, > or >=", &[left, right]);
        }
        Type::Is(Kind::Bool)
    }

    /// CEL does not mix int and double; `double(…)` converts.
    fn arithmetic(&mut self, at: &IdedExpr, left: (&IdedExpr, Type), right: (&IdedExpr, Type)) -> Type {
        if left.1.is_number() && left.1 == right.1 {
            return left.1;
        }
        self.mismatch(at, "+, -, * or /", &[left, right])
    }

    fn membership(&mut self, at: &IdedExpr, left: (&IdedExpr, Type), right: (&IdedExpr, Type)) -> Type {
        let fits = matches!(right.1, Type::Is(Kind::Names | Kind::Numbers | Kind::Deltas))
            && left.1 == Type::Is(Kind::Text);
        if !fits {
            self.mismatch(at, "in", &[left, right]);
        }
        Type::Is(Kind::Bool)
    }
}
