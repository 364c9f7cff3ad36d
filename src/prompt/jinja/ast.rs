//! What a template says, as a tree.

/// An expression and the line that it begins in.
#[derive(Debug)]
pub(super) struct Expr {
    pub line: usize,
    pub kind: ExprKind,
}

#[derive(Debug)]
pub(super) enum ExprKind {
    Literal(Literal),
    Name(Box<str>),
    List(Vec<Expr>),
    Tuple(Vec<Expr>),
    Dict(Vec<(Expr, Expr)>),
    Not(Box<Expr>),
    Sign {
        negative: bool,
        operand: Box<Expr>,
    },
    Binary(Binary, Box<Expr>, Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    /// `a ~ b ~ c`
    Concat(Vec<Expr>),
    /// `a < b == c`
    Compare(Box<Expr>, Vec<(Comparison, Expr)>),
    /// `then if condition else otherwise`
    Conditional {
        condition: Box<Expr>,
        then: Box<Expr>,
        otherwise: Option<Box<Expr>>,
    },
    Attribute(Box<Expr>, Box<str>),
    Item(Box<Expr>, Box<Expr>),
    Slice(Box<Expr>, Box<[Option<Expr>; 3]>),
    Call(Box<Expr>, Box<Arguments>),
    /// `None` stands for the text of a block that a filter is applied to.
    Filter(Option<Box<Expr>>, Box<str>, Box<Arguments>),
    Test(Box<Expr>, Box<str>, Box<Arguments>),
}

#[derive(Clone, Debug)]
pub(super) enum Literal {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(Box<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    Mod,
    Pow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
    NotIn,
}

/// `(a, b, key=c, *rest, **named)`
#[derive(Debug, Default)]
pub(super) struct Arguments {
    pub positional: Vec<Expr>,
    pub named: Vec<(Box<str>, Expr)>,
    pub rest: Option<Expr>,
    pub rest_named: Option<Expr>,
}

/// What a value is assigned to.
#[derive(Debug)]
pub(super) enum Target {
    Name(Box<str>),
    Tuple(Vec<Target>),
    /// `namespace.attribute`
    Attribute(Box<str>, Box<str>),
}

/// Statements with names of their own.
#[derive(Debug, Default)]
pub(super) struct Body {
    pub statements: Vec<Stmt>,
    /// Names that are undefined until they are set here, even if the template is given something under them.
    pub unset: Vec<Box<str>>,
}

impl From<Vec<Stmt>> for Body {
    fn from(statements: Vec<Stmt>) -> Self {
        Self { statements, unset: Vec::new() }
    }
}

/// A statement and the line that it begins in.
#[derive(Debug)]
pub(super) struct Stmt {
    pub line: usize,
    pub kind: StmtKind,
}

#[derive(Debug)]
pub(super) enum StmtKind {
    Text(Box<str>),
    Print(Vec<Expr>),
    If(Box<If>),
    For(Box<For>),
    With(Vec<(Target, Expr)>, Body),
    Set(Target, Box<Expr>),
    SetBlock(Target, Option<Box<Expr>>, Body),
    Filter(Box<Expr>, Body),
    Macro(Box<Macro>),
    /// `{% call(arguments) callee(…) %}`
    Call(Box<Macro>, Box<Expr>),
    /// `{% block %}`, and what else only opens a scope.
    Scope(Body),
    /// A tag that needs other templates, of which there are none.
    OtherTemplate(Box<str>),
    Break,
    Continue,
}

#[derive(Debug)]
pub(super) struct If {
    pub branches: Vec<(Expr, Vec<Stmt>)>,
    pub otherwise: Vec<Stmt>,
}

#[derive(Debug)]
pub(super) struct For {
    pub target: Target,
    pub items: Expr,
    pub filter: Option<Expr>,
    pub recursive: bool,
    pub body: Body,
    pub otherwise: Body,
}

#[derive(Debug)]
pub(super) struct Macro {
    /// None where it is the body of a call block.
    pub name: Option<Box<str>>,
    pub parameters: Vec<Box<str>>,
    /// Those of the last parameters.
    pub defaults: Vec<Expr>,
    pub body: Body,
    /// Which of the special names the body reads.
    pub reads: Special,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Special {
    pub caller: bool,
    pub varargs: bool,
    pub kwargs: bool,
}
