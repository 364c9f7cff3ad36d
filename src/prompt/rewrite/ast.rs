//! What a template says, as jinja2 parses it.

/// An expression and the line that it begins in.
#[derive(Debug)]
pub(super) struct Expr<'s> {
    pub line: u32,
    pub kind: Kind<'s>,
    /// How deep minijinja goes for it, which parses chains as terms within terms.
    pub height: usize,
}

impl<'s> Expr<'s> {
    pub fn new(line: u32, kind: Kind<'s>) -> Self {
        let height = kind.height();
        Self { line, kind, height }
    }
}

#[derive(Debug)]
pub(super) enum Kind<'s> {
    Name(&'s str),
    Bool(bool),
    None,
    Int(u128),
    Float(f64),
    Text(String),
    List(Vec<Expr<'s>>),
    Tuple(Vec<Expr<'s>>),
    Dict(Vec<(Expr<'s>, Expr<'s>)>),
    /// `not`, `-` or `+`.
    Unary(&'static str, Box<Expr<'s>>),
    /// Terms of one rank, from left to right, with the operator before each but the first; also `and`, `or` and `~`.
    Chain(Box<Expr<'s>>, Vec<(&'static str, Expr<'s>)>),
    /// The same of comparisons: each term is compared with the one before.
    Compare(Box<Expr<'s>>, Vec<(&'static str, Expr<'s>)>),
    /// `value if test else otherwise`
    Cond(Box<[Expr<'s>; 2]>, Option<Box<Expr<'s>>>),
    /// A value and what is done to it in turn.
    Postfix(Box<Expr<'s>>, Vec<Step<'s>>),
}

impl Kind<'_> {
    fn height(&self) -> usize {
        let all = |items: &[Expr]| 1 + items.iter().map(|e| e.height).max().unwrap_or(0);
        match self {
            Kind::Name(_) | Kind::Bool(_) | Kind::None | Kind::Int(_) | Kind::Float(_) | Kind::Text(_) => 1,
            Kind::List(items) | Kind::Tuple(items) => all(items),
            Kind::Dict(items) => 1 + items.iter().map(|(key, e)| key.height.max(e.height)).max().unwrap_or(0),
            Kind::Unary(_, e) => 1 + e.height,
            Kind::Chain(first, rest) | Kind::Compare(first, rest) => {
                let highest = rest.iter().map(|(_, e)| e.height).fold(first.height, usize::max);
                // Long sums become one call.
                let is_sum = rest.iter().all(|(operator, _)| *operator == "~")
                    || rest.iter().all(|(operator, _)| *operator == "+");
                highest + if is_sum { 1 } else { rest.len() }
            }
            Kind::Cond(parts, otherwise) => {
                all(&parts[..]).max(1 + otherwise.as_ref().map_or(0, |otherwise| otherwise.height))
            }
            Kind::Postfix(value, steps) => {
                steps.len() + steps.iter().map(Step::height).fold(value.height, usize::max)
            }
        }
    }
}

/// What stands behind a value.
#[derive(Debug)]
pub(super) enum Step<'s> {
    Attr(&'s str),
    Item(Expr<'s>),
    Slice([Option<Expr<'s>>; 3]),
    Call(Vec<Arg<'s>>),
    Filter(String, Vec<Arg<'s>>),
    /// Of a name, with arguments, and whether it is to fail.
    Test(String, Vec<Arg<'s>>, bool),
}

impl Step<'_> {
    pub fn height(&self) -> usize {
        match self {
            Step::Attr(_) => 0,
            Step::Item(e) => e.height,
            Step::Slice(bounds) => bounds.iter().flatten().map(|e| e.height).max().unwrap_or(0),
            Step::Call(arguments) | Step::Filter(_, arguments) | Step::Test(_, arguments, _) => {
                arguments.iter().map(|argument| argument.value().height).max().unwrap_or(0)
            }
        }
    }
}

#[derive(Debug)]
pub(super) enum Arg<'s> {
    Positional(Expr<'s>),
    Named(&'s str, Expr<'s>),
    Splat(Expr<'s>),
    NamedSplat(Expr<'s>),
}

impl<'s> Arg<'s> {
    pub fn value(&self) -> &Expr<'s> {
        let (Self::Positional(e) | Self::Named(_, e) | Self::Splat(e) | Self::NamedSplat(e)) = self;
        e
    }
}

/// What is assigned to.
#[derive(Debug)]
pub(super) enum Target<'s> {
    Name(&'s str),
    /// An attribute of a namespace.
    Attr(&'s str, &'s str),
    Several(Vec<Target<'s>>),
}

/// The parameters of a macro, and the defaults of the last of them.
#[derive(Debug, Default)]
pub(super) struct Signature<'s> {
    pub names: Vec<&'s str>,
    pub defaults: Vec<Expr<'s>>,
}

#[derive(Debug)]
pub(super) struct Loop<'s> {
    pub target: Target<'s>,
    pub items: Expr<'s>,
    pub filter: Option<Expr<'s>>,
    pub recursive: bool,
    pub body: Vec<Stmt<'s>>,
    pub otherwise: Vec<Stmt<'s>>,
}

/// A statement and the line that it begins in.
#[derive(Debug)]
pub(super) struct Stmt<'s> {
    pub line: u32,
    pub kind: StmtKind<'s>,
}

#[derive(Debug)]
pub(super) enum StmtKind<'s> {
    Data(&'s str),
    Print(Expr<'s>),
    For(Box<Loop<'s>>),
    /// Tests with what is done where one holds, and what is done where none does.
    If(Vec<(Expr<'s>, Vec<Stmt<'s>>)>, Vec<Stmt<'s>>),
    With(Vec<(Target<'s>, Expr<'s>)>, Vec<Stmt<'s>>),
    Set(Target<'s>, Expr<'s>),
    SetBlock(Target<'s>, Vec<Step<'s>>, Vec<Stmt<'s>>),
    Filter(Vec<Step<'s>>, Vec<Stmt<'s>>),
    AutoEscape(Expr<'s>, Vec<Stmt<'s>>),
    Block(&'s str, bool, Vec<Stmt<'s>>),
    Macro(&'s str, Signature<'s>, Vec<Stmt<'s>>),
    /// A call, whose `caller` has these parameters and this body.
    Call(Expr<'s>, Signature<'s>, Vec<Stmt<'s>>),
    Extends(Expr<'s>),
    Include(Expr<'s>, bool),
    Break,
    Continue,
}
