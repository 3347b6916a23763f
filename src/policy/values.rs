//! The variables as CEL values: views on the inputs, so that evaluating a rule copies nothing it does not read.

use cel::{
    Context, ExecutionError,
    common::{
        traits::{Container, Indexer, Sizer},
        types::{CelBool, CelDouble, CelInt, CelList, CelString, MAP_TYPE, Type},
        value::{CowVal, Val},
    },
    context::VariableResolver,
};

use super::types::{Cell, Scope, Variable, variable};

static MAP: Type = MAP_TYPE;

/// A variable, or a map inside one.
#[derive(Debug, Clone)]
enum View<'a> {
    Variable(&'static Variable, Scope<'a>),
    Map(Cell<'a>),
}

/// Resolves the four variables for one evaluation.
pub(super) struct Variables<'a>(Scope<'a>);

impl<'a> Variables<'a> {
    pub(super) fn new(scope: Scope<'a>) -> Self {
        Self(scope)
    }

    /// A context in which a compiled rule can be evaluated.
    pub(super) fn context<'c>(&'c self, env: &std::sync::Arc<cel::Env>) -> Context<'c, 'c> {
        let mut context = Context::with_env(env.clone());
        context.set_variable_resolver(self);
        context
    }
}

impl VariableResolver for Variables<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        let known = variable(name)?;
        Some(CowVal::owned(View::Variable(known, self.0)))
    }
}

impl<'a> View<'a> {
    fn entry(&self, key: &str) -> Option<Cell<'a>> {
        match self {
            Self::Variable(known, scope) => known.read(known.member(key)?, scope),
            Self::Map(cell) => cell.entry(key),
        }
    }
}

fn value<'b, 'a: 'b>(cell: Cell<'a>) -> CowVal<'b, 'a> {
    match cell {
        Cell::Bool(value) => CowVal::owned(CelBool::from(value)),
        Cell::Int(value) => CowVal::owned(CelInt::from(value)),
        Cell::Double(value) => CowVal::owned(CelDouble::from(value)),
        Cell::Text(value) => CowVal::owned(CelString::from(value)),
        Cell::Names(names) => {
            let boxed = |name| Box::new(CelString::from(name)) as Box<dyn Val + 'a>;
            CowVal::owned(CelList::from(names.into_iter().map(boxed).collect::<Vec<_>>()))
        }
        map => CowVal::owned(View::Map(map)),
    }
}

impl Val for View<'_> {
    fn get_type(&self) -> &Type {
        <Self as Val>::cel_type()
    }

    fn cel_type() -> &'static Type {
        &MAP
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }
}

impl Indexer for View<'_> {
    fn get<'b, 'v>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let key = text(key)?;
        self.entry(key).map(value).ok_or_else(|| ExecutionError::no_such_key(key))
    }

    fn steal<'v>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(key).map(CowVal::into_owned)
    }
}

impl Container for View<'_> {
    fn contains(&self, key: &dyn Val) -> Result<bool, ExecutionError> {
        Ok(self.entry(text(key)?).is_some())
    }
}

impl Sizer for View<'_> {
    fn size(&self) -> CelInt {
        let entries = match self {
            Self::Variable(..) => 0,
            Self::Map(cell) => cell.entries(),
        };
        CelInt::from(i64::try_from(entries).unwrap_or(i64::MAX))
    }
}

fn text(key: &dyn Val) -> Result<&str, ExecutionError> {
    key.downcast_ref::<CelString>().map(CelString::inner).ok_or_else(|| ExecutionError::UnexpectedType {
        got: key.get_type().name().to_owned(),
        want: "string".to_owned(),
    })
}
