//! Why a template could not be compiled or rendered.

pub(in super::super) type Result<T> = std::result::Result<T, Error>;

/// What kind of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Kind {
    /// The template is not Jinja.
    Syntax,
    /// The template called `raise_exception`.
    Raised,
    /// The template took more steps than it may.
    Steps,
    /// Everything else that goes wrong while rendering.
    Failed,
}

#[derive(Clone, Debug)]
pub(in super::super) struct Error(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: Kind,
    message: String,
    line: Option<usize>,
}

impl Error {
    pub fn new(message: impl Into<String>) -> Self {
        Self::of(Kind::Failed, message.into())
    }

    pub fn of(kind: Kind, message: String) -> Self {
        Self(Box::new(Inner { kind, message, line: None }))
    }

    pub fn syntax(message: impl Into<String>, line: usize) -> Self {
        Self::of(Kind::Syntax, message.into()).at(line)
    }

    pub fn steps() -> Self {
        Self::of(Kind::Steps, "the template takes too many steps; it seems to loop".to_owned())
    }

    pub fn memory() -> Self {
        let most = super::value::MAX_BYTES >> 20;
        Self::new(format!("the template holds more than {most} MiB of values"))
    }

    /// An operation on a value that is not there.
    pub fn undefined(what: &str) -> Self {
        Self::new(format!("undefined value: {what}"))
    }

    /// With the line where it happened, unless one is known that is nearer to the cause.
    pub fn at(mut self, line: usize) -> Self {
        self.0.line.get_or_insert(line);
        self
    }

    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    pub fn message(&self) -> &str {
        &self.0.message
    }

    pub fn line(&self) -> Option<usize> {
        self.0.line
    }
}
