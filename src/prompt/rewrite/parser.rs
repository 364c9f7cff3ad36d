//! Statements, as jinja2 parses them under transformers' settings: with `break`, `continue` and `generation`.

use super::Mistake;
use super::ast::{Expr, Loop, Signature, Stmt, StmtKind, Target};
use super::lexer::{Placed, Token, tokens};

/// How deep statements and expressions may be nested.
const DEPTH: usize = 200;

/// The statements of a template, whose line ends are newlines.
pub(super) fn parse(source: &str) -> Result<Vec<Stmt<'_>>, Mistake> {
    let tokens = tokens(source)?;
    let mut parser = Parser { tokens, at: 0, depth: 0, scope: Scope::default(), blocks: Vec::new() };
    parser.statements(&[])
}

/// What statements may stand where the parser is.
#[derive(Clone, Copy, Default)]
struct Scope {
    /// Within a loop, and in no function of its own.
    breaks: bool,
    /// Within any loop, whose variable nothing may be assigned to.
    has_loop: bool,
}

pub(super) struct Parser<'s> {
    tokens: Vec<Placed<'s>>,
    at: usize,
    depth: usize,
    scope: Scope,
    blocks: Vec<&'s str>,
}

type Body<'s> = Vec<Stmt<'s>>;

impl<'s> Parser<'s> {
    pub fn peek(&self) -> &Token<'s> {
        self.ahead(0)
    }

    pub fn ahead(&self, count: usize) -> &Token<'s> {
        self.tokens.get(self.at + count).map_or(&Token::End, |(token, _)| token)
    }

    pub fn line(&self) -> u32 {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(1, |(_, line)| *line)
    }

    pub fn take(&mut self) -> Token<'s> {
        let token = self.tokens.get_mut(self.at).filter(|(token, _)| *token != Token::End);
        let token = token.map_or(Token::End, |(token, _)| std::mem::replace(token, Token::VariableEnd));
        self.at += usize::from(token != Token::End);
        token
    }

    pub fn mistake<T>(&self, what: impl Into<String>) -> Result<T, Mistake> {
        Err(Mistake { line: self.line(), what: what.into() })
    }

    pub fn unexpected<T>(&self, expected: &str) -> Result<T, Mistake> {
        self.mistake(format!("unexpected {}, expected {expected}", spelled(self.peek())))
    }

    pub fn is(&self, operator: &str) -> bool {
        matches!(self.peek(), Token::Operator(o) if *o == operator)
    }

    pub fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Name(name) if *name == word)
    }

    pub fn skip(&mut self, operator: &str) -> bool {
        let skips = self.is(operator);
        self.at += usize::from(skips);
        skips
    }

    pub fn skip_word(&mut self, word: &str) -> bool {
        let skips = self.is_word(word);
        self.at += usize::from(skips);
        skips
    }

    pub fn expect(&mut self, operator: &str) -> Result<(), Mistake> {
        if self.skip(operator) { Ok(()) } else { self.unexpected(&format!("`{operator}`")) }
    }

    pub fn name(&mut self) -> Result<&'s str, Mistake> {
        match *self.peek() {
            Token::Name(name) => {
                self.at += 1;
                Ok(name)
            }
            _ => self.unexpected("a name"),
        }
    }

    /// Goes one level down, and refuses too many.
    pub fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, Mistake>) -> Result<T, Mistake> {
        if self.depth >= DEPTH {
            return self.mistake("the template nests too deeply");
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// Statements up to a tag of one of these names, which is left; up to the end where there are none.
    fn statements(&mut self, ends: &[&str]) -> Result<Body<'s>, Mistake> {
        let mut body = Vec::new();
        loop {
            let line = self.line();
            let kind = match self.take() {
                Token::Data(text) => StmtKind::Data(text),
                Token::VariableBegin => {
                    let value = self.tuple()?;
                    if *self.peek() != Token::VariableEnd {
                        return self.unexpected("`}}`");
                    }
                    self.at += 1;
                    StmtKind::Print(value)
                }
                Token::BlockBegin => {
                    if ends.iter().any(|end| self.is_word(end)) {
                        return Ok(body);
                    }
                    self.nested(|parser| parser.statement(line, &mut body))?;
                    self.block_end()?;
                    continue;
                }
                _ if ends.is_empty() => return Ok(body),
                _ => return self.mistake(format!("`{{% {} %}}` is missing", ends.join(" %}` or `{% "))),
            };
            body.push(Stmt { line, kind });
        }
    }

    fn block_end(&mut self) -> Result<(), Mistake> {
        if *self.peek() != Token::BlockEnd {
            return self.unexpected("`%}`");
        }
        self.at += 1;
        Ok(())
    }

    /// The rest of a tag, a colon of which counts for nothing, and statements up to one of these tags.
    fn body(&mut self, ends: &[&str]) -> Result<Body<'s>, Mistake> {
        self.skip(":");
        self.block_end()?;
        self.statements(ends)
    }

    /// The same up to one tag, which is taken.
    fn whole_body(&mut self, end: &str) -> Result<Body<'s>, Mistake> {
        let body = self.body(&[end])?;
        self.at += 1;
        Ok(body)
    }

    /// The body of what becomes a function in Python, which no loop can be left from.
    fn function_body(&mut self, end: &str) -> Result<Body<'s>, Mistake> {
        let outer = std::mem::replace(&mut self.scope.breaks, false);
        let body = self.whole_body(end);
        self.scope.breaks = outer;
        body
    }

    fn statement(&mut self, line: u32, into: &mut Body<'s>) -> Result<(), Mistake> {
        let Token::Name(tag) = *self.peek() else { return self.unexpected("the name of a statement") };
        self.at += 1;
        let kind = match tag {
            "for" => StmtKind::For(Box::new(self.for_loop()?)),
            "if" => self.condition()?,
            "set" => self.set()?,
            "with" => self.with()?,
            "print" => return self.print(line, into),
            "macro" => {
                let name = self.name()?;
                StmtKind::Macro(name, self.signature()?, self.function_body("endmacro")?)
            }
            "call" => self.call_block()?,
            "filter" => StmtKind::Filter(self.filters(true)?, self.whole_body("endfilter")?),
            "generation" => StmtKind::With(Vec::new(), self.function_body("endgeneration")?),
            "autoescape" => StmtKind::AutoEscape(self.expression()?, self.whole_body("endautoescape")?),
            "block" => self.block()?,
            "extends" => StmtKind::Extends(self.expression()?),
            "include" => self.include()?,
            "import" | "from" => return self.mistake("a chat template cannot import other templates"),
            "break" | "continue" if !self.scope.breaks => {
                return self.mistake(format!("`{tag}` stands outside of a loop"));
            }
            "break" => StmtKind::Break,
            "continue" => StmtKind::Continue,
            _ => return self.mistake(format!("there is no statement `{tag}` here")),
        };
        into.push(Stmt { line, kind });
        Ok(())
    }

    fn for_loop(&mut self) -> Result<Loop<'s>, Mistake> {
        let outer = self.scope;
        self.scope.has_loop = true;
        let target = self.target(false, "in")?;
        if !self.skip_word("in") {
            return self.unexpected("`in`");
        }
        let items = self.unconditional_tuple(Some("recursive"))?;
        let filter = if self.skip_word("if") { Some(self.expression()?) } else { None };
        let recursive = self.skip_word("recursive");
        self.scope.breaks = true;
        let body = self.body(&["endfor", "else"])?;
        self.scope.breaks = outer.breaks && !recursive;
        let has_else = self.skip_word("else");
        let otherwise = if has_else { self.body(&["endfor"])? } else { Vec::new() };
        self.at += 1;
        self.scope = outer;
        Ok(Loop { target, items, filter, recursive, body, otherwise })
    }

    fn condition(&mut self) -> Result<StmtKind<'s>, Mistake> {
        let mut branches = Vec::new();
        loop {
            let test = self.unconditional_tuple(None)?;
            branches.push((test, self.body(&["elif", "else", "endif"])?));
            // minijinja parses it as a condition within the one before.
            if self.skip_word("elif") {
                self.depth += 1;
                if self.depth > DEPTH {
                    return self.mistake("too many conditions");
                }
                continue;
            }
            self.depth -= branches.len() - 1;
            let has_else = self.skip_word("else");
            let otherwise = if has_else { self.body(&["endif"])? } else { Vec::new() };
            self.at += 1;
            return Ok(StmtKind::If(branches, otherwise));
        }
    }

    fn set(&mut self) -> Result<StmtKind<'s>, Mistake> {
        let target = self.target(true, "")?;
        if self.skip("=") {
            return Ok(StmtKind::Set(target, self.tuple()?));
        }
        Ok(StmtKind::SetBlock(target, self.filters(false)?, self.whole_body("endset")?))
    }

    fn with(&mut self) -> Result<StmtKind<'s>, Mistake> {
        let mut values = Vec::new();
        while *self.peek() != Token::BlockEnd && !self.is(":") {
            if !values.is_empty() {
                self.expect(",")?;
            }
            let target = self.target(false, "")?;
            self.expect("=")?;
            values.push((target, self.expression()?));
        }
        Ok(StmtKind::With(values, self.whole_body("endwith")?))
    }

    /// One statement for each of the values.
    fn print(&mut self, line: u32, into: &mut Body<'s>) -> Result<(), Mistake> {
        let first = into.len();
        while *self.peek() != Token::BlockEnd {
            if into.len() > first {
                self.expect(",")?;
            }
            into.push(Stmt { line, kind: StmtKind::Print(self.expression()?) });
        }
        Ok(())
    }

    fn call_block(&mut self) -> Result<StmtKind<'s>, Mistake> {
        let signature = if self.is("(") { self.signature()? } else { Signature::default() };
        let call = self.expression()?;
        if !call.is_call() {
            return self.mistake("`call` wants the call of a macro");
        }
        Ok(StmtKind::Call(call, signature, self.function_body("endcall")?))
    }

    fn signature(&mut self) -> Result<Signature<'s>, Mistake> {
        let mut signature = Signature::default();
        self.expect("(")?;
        while !self.skip(")") {
            if !signature.names.is_empty() {
                self.expect(",")?;
            }
            let name = self.name()?;
            if signature.names.contains(&name) {
                return self.mistake(format!("duplicate argument '{name}' in a macro's declaration"));
            }
            if self.skip("=") {
                signature.defaults.push(self.expression()?);
            } else if !signature.defaults.is_empty() {
                return self
                    .mistake(format!("the parameter '{name}' wants a default, as those before it have one"));
            }
            signature.names.push(name);
        }
        Ok(signature)
    }

    fn block(&mut self) -> Result<StmtKind<'s>, Mistake> {
        let name = self.name()?;
        if self.blocks.contains(&name) {
            return self.mistake(format!("block '{name}' defined twice"));
        }
        self.blocks.push(name);
        self.skip_word("scoped");
        let required = self.skip_word("required");
        let body = self.function_body("endblock")?;
        self.skip_word(name);
        Ok(StmtKind::Block(name, required, body))
    }

    fn include(&mut self) -> Result<StmtKind<'s>, Mistake> {
        let template = self.expression()?;
        let skips = self.is_word("ignore") && *self.ahead(1) == Token::Name("missing");
        self.at += if skips { 2 } else { 0 };
        let is_context = |word| self.is_word(word) && *self.ahead(1) == Token::Name("context");
        self.at += if is_context("with") || is_context("without") { 2 } else { 0 };
        Ok(StmtKind::Include(template, skips))
    }

    /// What is assigned to, up to a word; `attributes` are those of namespaces.
    fn target(&mut self, attributes: bool, end: &str) -> Result<Target<'s>, Mistake> {
        let mut targets = vec![self.one_target(attributes)?];
        let mut is_list = false;
        while self.skip(",") {
            is_list = true;
            if matches!(self.peek(), Token::BlockEnd) || self.is(")") || self.is_word(end) {
                break;
            }
            targets.push(self.one_target(attributes)?);
        }
        match targets.pop() {
            Some(target) if !is_list => Ok(target),
            last => {
                targets.extend(last);
                Ok(Target::Several(targets))
            }
        }
    }

    fn one_target(&mut self, attributes: bool) -> Result<Target<'s>, Mistake> {
        if self.skip("(") {
            let target = self.nested(|parser| parser.target(false, ""))?;
            self.expect(")")?;
            return Ok(target);
        }
        let name = self.name()?;
        if ["true", "false", "none", "True", "False", "None"].contains(&name) {
            return self.mistake(format!("cannot assign to '{name}'"));
        }
        if attributes && self.skip(".") {
            return Ok(Target::Attr(name, self.name()?));
        }
        if name == "loop" && self.scope.has_loop {
            return self.mistake("cannot assign to 'loop' within a loop");
        }
        Ok(Target::Name(name))
    }
}

impl Expr<'_> {
    fn is_call(&self) -> bool {
        matches!(&self.kind, super::ast::Kind::Postfix(_, steps) if matches!(steps.last(), Some(super::ast::Step::Call(_))))
    }
}

fn spelled(token: &Token) -> String {
    match token {
        Token::Data(_) => "text".to_owned(),
        Token::VariableBegin => "`{{`".to_owned(),
        Token::VariableEnd => "`}}`".to_owned(),
        Token::BlockBegin => "`{%`".to_owned(),
        Token::BlockEnd => "`%}`".to_owned(),
        Token::Name(name) => format!("`{name}`"),
        Token::Text(_) => "a text".to_owned(),
        Token::Int(n) => format!("`{n}`"),
        Token::Float(x) => format!("`{x}`"),
        Token::Operator(operator) => format!("`{operator}`"),
        Token::End => "end of the template".to_owned(),
    }
}
