//! From tokens to statements, by jinja2's grammar.

use super::ast::{Body, Expr, ExprKind, For, If, Macro, Special, Stmt, StmtKind, Target};
use super::error::{Error, Result};
use super::expressions::reads;
use super::lexer::{Token, tokenize};
use super::scopes;
use super::stack::Stack;

/// Reads a whole template.
pub(super) fn parse(source: &str) -> Result<Body> {
    let mut parser = Parser::new(tokenize(source)?);
    let body = parser.body(&[])?;
    match parser.peek() {
        None => Ok(scopes::resolved(body)),
        Some(_) => Err(parser.unexpected("the end of the template")),
    }
}

pub(super) struct Parser {
    tokens: Vec<(Token, usize)>,
    at: usize,
    stack: Stack,
    /// Loops that `break` and `continue` may mean, innermost function alone.
    loops: usize,
}

impl Parser {
    fn new(tokens: Vec<(Token, usize)>) -> Self {
        Self { tokens, at: 0, stack: Stack::here(), loops: 0 }
    }

    pub fn line(&self) -> usize {
        let at = self.at.min(self.tokens.len().saturating_sub(1));
        self.tokens.get(at).map_or(1, |(_, line)| *line)
    }

    pub fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    pub fn peek_next(&self) -> Option<&Token> {
        self.tokens.get(self.at + 1).map(|(token, _)| token)
    }

    pub fn skip(&mut self) {
        self.at += 1;
    }

    pub fn check_stack(&self) -> Result<()> {
        self.stack.check().map_err(|e| e.at(self.line()))
    }

    pub fn fail(&self, message: impl Into<String>) -> Error {
        Error::syntax(message, self.line())
    }

    pub fn unexpected(&self, expected: &str) -> Error {
        let found = match self.peek() {
            None => "the end of the template".to_owned(),
            Some(Token::Data(_)) => "text".to_owned(),
            Some(Token::VariableEnd) => "'}}'".to_owned(),
            Some(Token::BlockEnd) => "'%}'".to_owned(),
            Some(Token::VariableBegin) => "'{{'".to_owned(),
            Some(Token::BlockBegin) => "'{%'".to_owned(),
            Some(Token::Name(name)) => format!("'{name}'"),
            Some(Token::Op(op)) => format!("'{op}'"),
            Some(Token::Int(n)) => n.to_string(),
            Some(Token::Float(x)) => x.to_string(),
            Some(Token::Str(text)) => format!("{text:?}"),
        };
        self.fail(format!("expected {expected}, got {found}"))
    }

    pub fn is_op(&self, op: &str) -> bool {
        matches!(self.peek(), Some(Token::Op(found)) if *found == op)
    }

    pub fn is_name(&self, name: &str) -> bool {
        matches!(self.peek(), Some(Token::Name(found)) if **found == *name)
    }

    pub fn skip_op(&mut self, op: &str) -> bool {
        let found = self.is_op(op);
        self.at += usize::from(found);
        found
    }

    pub fn skip_name(&mut self, name: &str) -> bool {
        let found = self.is_name(name);
        self.at += usize::from(found);
        found
    }

    pub fn expect_op(&mut self, op: &str) -> Result<()> {
        if self.skip_op(op) { Ok(()) } else { Err(self.unexpected(&format!("'{op}'"))) }
    }

    pub fn expect_name(&mut self) -> Result<Box<str>> {
        match self.peek() {
            Some(Token::Name(name)) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.unexpected("a name")),
        }
    }

    pub fn is(&self, token: &Token) -> bool {
        self.peek() == Some(token)
    }

    fn expect(&mut self, token: &Token, what: &str) -> Result<()> {
        if !self.is(token) {
            return Err(self.unexpected(what));
        }
        self.at += 1;
        Ok(())
    }

    /// Statements up to a tag of one of these names, which is left to be read, without its `{%`.
    fn body(&mut self, ends: &[&str]) -> Result<Vec<Stmt>> {
        self.check_stack()?;
        let mut body = Vec::new();
        while let Some(token) = self.peek() {
            let line = self.line();
            let kind = match token {
                Token::Data(text) => {
                    let text = text.clone();
                    self.skip();
                    StmtKind::Text(text)
                }
                Token::VariableBegin => {
                    self.skip();
                    let expr = self.tuple(true, &[])?;
                    self.expect(&Token::VariableEnd, "'}}'")?;
                    StmtKind::Print(vec![expr])
                }
                Token::BlockBegin => {
                    self.skip();
                    if ends.iter().any(|end| self.is_name(end)) {
                        return Ok(body);
                    }
                    let kind = self.statement()?;
                    self.expect(&Token::BlockEnd, "'%}'")?;
                    kind
                }
                _ => return Err(self.unexpected("text or a tag")),
            };
            body.push(Stmt { line, kind });
        }
        if ends.is_empty() { Ok(body) } else { Err(self.unexpected(&format!("'{}'", ends.join("' or '")))) }
    }

    /// The end of a tag and the statements that follow it, up to one of these names.
    fn block(&mut self, ends: &[&str]) -> Result<Vec<Stmt>> {
        self.skip_op(":");
        self.expect(&Token::BlockEnd, "'%}'")?;
        self.body(ends)
    }

    /// The same with one name, which is read, too.
    fn block_to(&mut self, end: &str) -> Result<Vec<Stmt>> {
        let body = self.block(&[end])?;
        self.skip();
        Ok(body)
    }

    /// The same as a function of its own.
    fn function_to(&mut self, end: &str) -> Result<Vec<Stmt>> {
        let loops = std::mem::take(&mut self.loops);
        let body = self.block_to(end);
        self.loops = loops;
        body
    }

    fn statement(&mut self) -> Result<StmtKind> {
        let line = self.line();
        let name = self.expect_name()?;
        match &*name {
            "for" => self.for_loop(),
            "if" => self.conditional(),
            "set" => self.set(),
            "with" => self.with(),
            "macro" => self.macro_(),
            "call" => self.call_block(),
            "filter" => {
                let filter = self.filters(None, true)?;
                Ok(StmtKind::Filter(Box::new(filter), self.block_to("endfilter")?.into()))
            }
            "print" => self.print(),
            "block" => self.template_block(),
            "generation" => Ok(StmtKind::Scope(self.function_to("endgeneration")?.into())),
            "autoescape" => {
                let _ = self.expression()?;
                Ok(StmtKind::Scope(self.block_to("endautoescape")?.into()))
            }
            "break" | "continue" if self.loops == 0 => {
                Err(Error::syntax(format!("'{name}' outside of a loop"), line))
            }
            "break" => Ok(StmtKind::Break),
            "continue" => Ok(StmtKind::Continue),
            "extends" | "include" | "import" | "from" => {
                while !matches!(self.peek(), None | Some(Token::BlockEnd)) {
                    self.skip();
                }
                Ok(StmtKind::OtherTemplate(name))
            }
            _ => Err(Error::syntax(format!("unknown tag '{name}'"), line)),
        }
    }

    fn for_loop(&mut self) -> Result<StmtKind> {
        let target = self.target(false, &["in"])?;
        if target.names().contains(&"loop") {
            return Err(self.fail("can't assign to special loop variable in for-loop target"));
        }
        if !self.skip_name("in") {
            return Err(self.unexpected("'in'"));
        }
        let items = self.tuple(false, &["recursive"])?;
        let filter = if self.skip_name("if") { Some(self.expression()?) } else { None };
        let recursive = self.skip_name("recursive");
        self.loops += 1;
        let body = self.block(&["endfor", "else"]);
        self.loops -= 1;
        let body = body?;
        let otherwise = if self.skip_name("else") {
            self.block_to("endfor")?
        } else {
            self.skip();
            Vec::new()
        };
        Ok(StmtKind::For(Box::new(For {
            target,
            items,
            filter,
            recursive,
            body: body.into(),
            otherwise: otherwise.into(),
        })))
    }

    fn conditional(&mut self) -> Result<StmtKind> {
        let mut branches = Vec::new();
        loop {
            let condition = self.tuple(false, &[])?;
            branches.push((condition, self.block(&["elif", "else", "endif"])?));
            if self.skip_name("elif") {
                continue;
            }
            let otherwise = if self.skip_name("else") {
                self.block_to("endif")?
            } else {
                self.skip();
                Vec::new()
            };
            return Ok(StmtKind::If(Box::new(If { branches, otherwise })));
        }
    }

    fn set(&mut self) -> Result<StmtKind> {
        let target = self.target(true, &[])?;
        if self.skip_op("=") {
            return Ok(StmtKind::Set(target, Box::new(self.tuple(true, &[])?)));
        }
        let filter = if self.is_op("|") { Some(Box::new(self.filters(None, false)?)) } else { None };
        Ok(StmtKind::SetBlock(target, filter, self.block_to("endset")?.into()))
    }

    fn with(&mut self) -> Result<StmtKind> {
        let mut values = Vec::new();
        while !self.is(&Token::BlockEnd) {
            if !values.is_empty() {
                self.expect_op(",")?;
            }
            let target = self.target(false, &[])?;
            self.expect_op("=")?;
            values.push((target, self.expression()?));
        }
        Ok(StmtKind::With(values, self.block_to("endwith")?.into()))
    }

    fn macro_(&mut self) -> Result<StmtKind> {
        let name = self.parameter()?;
        let (parameters, defaults) = self.signature()?;
        let body = self.function_to("endmacro")?;
        Ok(StmtKind::Macro(Box::new(function(Some(name), parameters, defaults, body))))
    }

    fn call_block(&mut self) -> Result<StmtKind> {
        let (parameters, defaults) =
            if self.is_op("(") { self.signature()? } else { (Vec::new(), Vec::new()) };
        let call = self.expression()?;
        if !matches!(call.kind, ExprKind::Call(..)) {
            return Err(self.fail("expected call"));
        }
        let body = self.function_to("endcall")?;
        Ok(StmtKind::Call(Box::new(function(None, parameters, defaults, body)), Box::new(call)))
    }

    fn print(&mut self) -> Result<StmtKind> {
        let mut values = Vec::new();
        while !self.is(&Token::BlockEnd) {
            if !values.is_empty() {
                self.expect_op(",")?;
            }
            values.push(self.expression()?);
        }
        Ok(StmtKind::Print(values))
    }

    fn template_block(&mut self) -> Result<StmtKind> {
        let name = self.expect_name()?;
        self.skip_name("scoped");
        self.skip_name("required");
        let loops = std::mem::take(&mut self.loops);
        let body = self.block_to("endblock");
        self.loops = loops;
        self.skip_name(&name);
        Ok(StmtKind::Scope(body?.into()))
    }

    /// `(a, b=1)`
    fn signature(&mut self) -> Result<(Vec<Box<str>>, Vec<Expr>)> {
        self.expect_op("(")?;
        let (mut parameters, mut defaults) = (Vec::new(), Vec::new());
        while !self.is_op(")") {
            if !parameters.is_empty() {
                self.expect_op(",")?;
            }
            let name = self.parameter()?;
            if parameters.contains(&name) {
                return Err(self.fail(format!("duplicate argument '{name}'")));
            }
            parameters.push(name);
            if self.skip_op("=") {
                defaults.push(self.expression()?);
            } else if !defaults.is_empty() {
                return Err(self.fail("non-default argument follows default argument"));
            }
        }
        self.skip();
        Ok((parameters, defaults))
    }

    fn parameter(&mut self) -> Result<Box<str>> {
        let name = self.expect_name()?;
        if is_constant(&name) { Err(self.fail(format!("can't assign to '{name}'"))) } else { Ok(name) }
    }

    /// What stands left of `=` or `in`.
    fn target(&mut self, attributes: bool, ends: &[&str]) -> Result<Target> {
        let mut items = Vec::new();
        let mut is_tuple = false;
        loop {
            let ended = matches!(self.peek(), Some(Token::VariableEnd | Token::BlockEnd | Token::Op(")")));
            if !items.is_empty() && (ended || ends.iter().any(|end| self.is_name(end))) {
                break;
            }
            items.push(self.one_target(attributes)?);
            if !self.skip_op(",") {
                break;
            }
            is_tuple = true;
        }
        match items.pop() {
            Some(item) if !is_tuple => Ok(item),
            Some(item) => {
                items.push(item);
                Ok(Target::Tuple(items))
            }
            None => Err(self.unexpected("a name")),
        }
    }

    fn one_target(&mut self, attributes: bool) -> Result<Target> {
        self.check_stack()?;
        if self.skip_op("(") {
            let target =
                if self.is_op(")") { Target::Tuple(Vec::new()) } else { self.target(attributes, &[])? };
            self.expect_op(")")?;
            return Ok(target);
        }
        let name = self.parameter()?;
        if attributes && self.skip_op(".") {
            return Ok(Target::Attribute(name, self.expect_name()?));
        }
        Ok(Target::Name(name))
    }
}

impl Target {
    /// The names that it assigns to.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Name(name) => vec![name],
            Self::Attribute(..) => Vec::new(),
            Self::Tuple(items) => items.iter().flat_map(Self::names).collect(),
        }
    }
}

fn function(
    name: Option<Box<str>>,
    parameters: Vec<Box<str>>,
    defaults: Vec<Expr>,
    body: Vec<Stmt>,
) -> Macro {
    let read = |name| reads(&body, name);
    let reads = Special { caller: read("caller"), varargs: read("varargs"), kwargs: read("kwargs") };
    Macro { name, parameters, defaults, body: body.into(), reads }
}

fn is_constant(name: &str) -> bool {
    matches!(name, "true" | "false" | "none" | "True" | "False" | "None")
}
