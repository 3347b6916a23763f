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

use super::types::{Cell, Scope, variable};

static MAP: Type = MAP_TYPE;

/// A map of a member.
#[derive(Debug, Clone)]
struct View<'a>(Cell<'a>);

/// Resolves members of the variables for one evaluation.
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
    /// `name` is a variable and its member, with the dot: see [`super::expression`].
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        let (name, member) = name.split_once('.')?;
        let known = variable(name)?;
        known.read(known.member(member)?, &self.0).map(value)
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
        map => CowVal::owned(View(map)),
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
        self.0.entry(key).map(value).ok_or_else(|| ExecutionError::no_such_key(key))
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
        Ok(self.0.entry(text(key)?).is_some())
    }
}

impl Sizer for View<'_> {
    fn size(&self) -> CelInt {
        CelInt::from(i64::try_from(self.0.entries()).unwrap_or(i64::MAX))
    }
}

fn text(key: &dyn Val) -> Result<&str, ExecutionError> {
    key.downcast_ref::<CelString>().map(CelString::inner).ok_or_else(|| ExecutionError::UnexpectedType {
        got: key.get_type().name().to_owned(),
        want: "string".to_owned(),
    })
}
