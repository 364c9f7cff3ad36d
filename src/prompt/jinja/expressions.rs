//! Expressions by jinja2's grammar, from the loosest operator to the tightest.

use super::ast::{Arguments, Binary, Comparison, Expr, ExprKind, For, If, Literal, Macro, Stmt, StmtKind};
use super::error::Result;
use super::lexer::Token;
use super::parser::Parser;

/// Operators in a row; each is one level of the tree.
const MOST_LINKS: usize = 500;

impl Parser {
    /// Counts one more operator of a chain.
    fn link(&self, links: &mut usize) -> Result<()> {
        *links += 1;
        if *links > MOST_LINKS { Err(self.fail("the expression is too long")) } else { Ok(()) }
    }

    fn expr(&self, line: usize, kind: ExprKind) -> Expr {
        Expr { line, kind }
    }

    pub fn expression(&mut self) -> Result<Expr> {
        self.check_stack()?;
        let line = self.line();
        let mut expr = self.or()?;
        let mut links = 0;
        while self.skip_name("if") {
            self.link(&mut links)?;
            let condition = Box::new(self.or()?);
            let otherwise = if self.skip_name("else") { Some(Box::new(self.expression()?)) } else { None };
            expr = self.expr(line, ExprKind::Conditional { condition, then: Box::new(expr), otherwise });
        }
        Ok(expr)
    }

    /// One expression, or several with commas; `conditions` says whether `x if y` may be one.
    pub fn tuple(&mut self, conditions: bool, ends: &[&str]) -> Result<Expr> {
        self.tuple_in(conditions, ends, false)
    }

    fn tuple_in(&mut self, conditions: bool, ends: &[&str], parentheses: bool) -> Result<Expr> {
        let line = self.line();
        let mut items = Vec::new();
        let mut is_tuple = false;
        loop {
            let ended = matches!(self.peek(), Some(Token::VariableEnd | Token::BlockEnd | Token::Op(")")));
            if ended || ends.iter().any(|end| self.is_name(end)) {
                break;
            }
            items.push(if conditions { self.expression()? } else { self.or()? });
            if !self.skip_op(",") {
                break;
            }
            is_tuple = true;
        }
        if !is_tuple {
            match items.pop() {
                Some(item) => return Ok(item),
                None if !parentheses => return Err(self.unexpected("an expression")),
                None => {}
            }
        }
        Ok(self.expr(line, ExprKind::Tuple(items)))
    }

    fn or(&mut self) -> Result<Expr> {
        self.check_stack()?;
        let line = self.line();
        let mut left = self.and()?;
        let mut links = 0;
        while self.skip_name("or") {
            self.link(&mut links)?;
            let right = self.and()?;
            left = self.expr(line, ExprKind::Or(Box::new(left), Box::new(right)));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr> {
        let line = self.line();
        let mut left = self.not()?;
        let mut links = 0;
        while self.skip_name("and") {
            self.link(&mut links)?;
            let right = self.not()?;
            left = self.expr(line, ExprKind::And(Box::new(left), Box::new(right)));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Expr> {
        let line = self.line();
        let mut count = 0_usize;
        while self.skip_name("not") {
            count += 1;
        }
        let mut expr = self.compare()?;
        // Two of them make a truth value, and any two more change nothing.
        for _ in 0..if count > 2 { 1 + (count + 1) % 2 } else { count } {
            expr = self.expr(line, ExprKind::Not(Box::new(expr)));
        }
        Ok(expr)
    }

    fn compare(&mut self) -> Result<Expr> {
        let line = self.line();
        let first = self.math1()?;
        let mut rest = Vec::new();
        while let Some(comparison) = self.comparison() {
            rest.push((comparison, self.math1()?));
        }
        if rest.is_empty() {
            return Ok(first);
        }
        Ok(self.expr(line, ExprKind::Compare(Box::new(first), rest)))
    }

    fn comparison(&mut self) -> Option<Comparison> {
        let comparison = match self.peek()? {
            Token::Op("==") => Comparison::Eq,
            Token::Op("!=") => Comparison::Ne,
            Token::Op("<") => Comparison::Lt,
            Token::Op("<=") => Comparison::Le,
            Token::Op(">") => Comparison::Gt,
            Token::Op(">=") => Comparison::Ge,
            Token::Name(name) if **name == *"in" => Comparison::In,
            Token::Name(name) if **name == *"not" => {
                if !matches!(self.peek_next(), Some(Token::Name(name)) if **name == *"in") {
                    return None;
                }
                self.skip();
                Comparison::NotIn
            }
            _ => return None,
        };
        self.skip();
        Some(comparison)
    }

    fn math1(&mut self) -> Result<Expr> {
        let line = self.line();
        let mut left = self.concat()?;
        let mut links = 0;
        loop {
            let op = match self.peek() {
                Some(Token::Op("+")) => Binary::Add,
                Some(Token::Op("-")) => Binary::Sub,
                _ => return Ok(left),
            };
            self.link(&mut links)?;
            self.skip();
            let right = self.concat()?;
            left = self.expr(line, ExprKind::Binary(op, Box::new(left), Box::new(right)));
        }
    }

    fn concat(&mut self) -> Result<Expr> {
        let line = self.line();
        let first = self.math2()?;
        if !self.is_op("~") {
            return Ok(first);
        }
        let mut items = vec![first];
        while self.skip_op("~") {
            items.push(self.math2()?);
        }
        Ok(self.expr(line, ExprKind::Concat(items)))
    }

    fn math2(&mut self) -> Result<Expr> {
        let line = self.line();
        let mut left = self.pow()?;
        let mut links = 0;
        loop {
            let op = match self.peek() {
                Some(Token::Op("*")) => Binary::Mul,
                Some(Token::Op("/")) => Binary::Div,
                Some(Token::Op("//")) => Binary::FloorDiv,
                Some(Token::Op("%")) => Binary::Mod,
                _ => return Ok(left),
            };
            self.link(&mut links)?;
            self.skip();
            let right = self.pow()?;
            left = self.expr(line, ExprKind::Binary(op, Box::new(left), Box::new(right)));
        }
    }

    fn pow(&mut self) -> Result<Expr> {
        let line = self.line();
        let mut left = self.unary(true)?;
        let mut links = 0;
        while self.skip_op("**") {
            self.link(&mut links)?;
            let right = self.unary(true)?;
            left = self.expr(line, ExprKind::Binary(Binary::Pow, Box::new(left), Box::new(right)));
        }
        Ok(left)
    }

    fn unary(&mut self, filters: bool) -> Result<Expr> {
        self.check_stack()?;
        let line = self.line();
        let negative = self.is_op("-");
        let expr = if negative || self.is_op("+") {
            self.skip();
            let operand = Box::new(self.unary(false)?);
            self.expr(line, ExprKind::Sign { negative, operand })
        } else {
            self.primary()?
        };
        let expr = self.postfix(expr)?;
        if filters { self.filters_and_tests(expr) } else { Ok(expr) }
    }

    fn primary(&mut self) -> Result<Expr> {
        let line = self.line();
        let Some(token) = self.peek().cloned() else { return Err(self.unexpected("an expression")) };
        if matches!(
            token,
            Token::Name(_) | Token::Int(_) | Token::Float(_) | Token::Str(_) | Token::Op("(" | "[" | "{")
        ) {
            self.skip();
        }
        let kind = match token {
            Token::Name(name) => match &*name {
                "true" | "True" => ExprKind::Literal(Literal::Bool(true)),
                "false" | "False" => ExprKind::Literal(Literal::Bool(false)),
                "none" | "None" => ExprKind::Literal(Literal::None),
                _ => ExprKind::Name(name),
            },
            Token::Int(n) => ExprKind::Literal(Literal::Int(n)),
            Token::Float(x) => ExprKind::Literal(Literal::Float(x)),
            Token::Str(text) => {
                let mut text = text.into_string();
                while let Some(Token::Str(more)) = self.peek() {
                    text.push_str(more);
                    self.skip();
                }
                ExprKind::Literal(Literal::Str(text.into()))
            }
            Token::Op("(") => {
                let expr = self.tuple_in(true, &[], true)?;
                self.expect_op(")")?;
                return Ok(expr);
            }
            Token::Op("[") => ExprKind::List(self.list()?),
            Token::Op("{") => ExprKind::Dict(self.dict()?),
            _ => return Err(self.unexpected("an expression")),
        };
        Ok(self.expr(line, kind))
    }

    fn list(&mut self) -> Result<Vec<Expr>> {
        let mut items = Vec::new();
        while !self.is_op("]") {
            if !items.is_empty() {
                self.expect_op(",")?;
            }
            if self.is_op("]") {
                break;
            }
            items.push(self.expression()?);
        }
        self.skip();
        Ok(items)
    }

    fn dict(&mut self) -> Result<Vec<(Expr, Expr)>> {
        let mut items = Vec::new();
        while !self.is_op("}") {
            if !items.is_empty() {
                self.expect_op(",")?;
            }
            if self.is_op("}") {
                break;
            }
            let key = self.expression()?;
            self.expect_op(":")?;
            items.push((key, self.expression()?));
        }
        self.skip();
        Ok(items)
    }

    fn postfix(&mut self, mut expr: Expr) -> Result<Expr> {
        let mut links = 0;
        loop {
            self.link(&mut links)?;
            let line = self.line();
            expr = match self.peek() {
                Some(Token::Op(".")) => {
                    self.skip();
                    self.attribute(expr)?
                }
                Some(Token::Op("[")) => {
                    self.skip();
                    self.subscript(expr)?
                }
                Some(Token::Op("(")) => {
                    let arguments = Box::new(self.arguments()?);
                    self.expr(line, ExprKind::Call(Box::new(expr), arguments))
                }
                _ => return Ok(expr),
            };
        }
    }

    fn filters_and_tests(&mut self, mut expr: Expr) -> Result<Expr> {
        let mut links = 0;
        loop {
            self.link(&mut links)?;
            let line = self.line();
            expr = if self.is_op("|") {
                self.filters(Some(expr), false)?
            } else if self.skip_name("is") {
                self.test(expr)?
            } else if self.is_op("(") {
                let arguments = Box::new(self.arguments()?);
                self.expr(line, ExprKind::Call(Box::new(expr), arguments))
            } else {
                return Ok(expr);
            };
        }
    }

    fn attribute(&mut self, expr: Expr) -> Result<Expr> {
        let line = self.line();
        let kind = match self.peek().cloned() {
            Some(Token::Name(name)) => ExprKind::Attribute(Box::new(expr), name),
            Some(Token::Int(n)) => {
                let index = self.expr(line, ExprKind::Literal(Literal::Int(n)));
                ExprKind::Item(Box::new(expr), Box::new(index))
            }
            _ => return Err(self.unexpected("a name or a number")),
        };
        self.skip();
        Ok(self.expr(line, kind))
    }

    fn subscript(&mut self, expr: Expr) -> Result<Expr> {
        let line = self.line();
        let mut items = Vec::new();
        let mut slice = None;
        while !self.is_op("]") {
            if !items.is_empty() || slice.is_some() {
                self.expect_op(",")?;
            }
            if slice.is_some() {
                return Err(self.fail("several slices are not supported"));
            }
            let start = if self.is_op(":") { None } else { Some(self.expression()?) };
            if !self.skip_op(":") {
                items.extend(start);
                continue;
            }
            let bound = |parser: &mut Self| {
                let none = parser.is_op(":") || parser.is_op("]") || parser.is_op(",");
                if none { Ok(None) } else { parser.expression().map(Some) }
            };
            let stop = bound(self)?;
            let step = if self.skip_op(":") { bound(self)? } else { None };
            slice = Some([start, stop, step]);
        }
        self.skip();
        let kind = match (slice, items.pop()) {
            (Some(bounds), None) => ExprKind::Slice(Box::new(expr), Box::new(bounds)),
            (Some(_), Some(_)) => return Err(self.fail("several slices are not supported")),
            (None, Some(item)) if items.is_empty() => ExprKind::Item(Box::new(expr), Box::new(item)),
            (None, last) => {
                items.extend(last);
                let index = self.expr(line, ExprKind::Tuple(items));
                ExprKind::Item(Box::new(expr), Box::new(index))
            }
        };
        Ok(self.expr(line, kind))
    }

    fn arguments(&mut self) -> Result<Arguments> {
        self.expect_op("(")?;
        let mut arguments = Arguments::default();
        let mut first = true;
        while !self.is_op(")") {
            if !first {
                self.expect_op(",")?;
                if self.is_op(")") {
                    break;
                }
            }
            first = false;
            self.argument(&mut arguments)?;
        }
        self.skip();
        Ok(arguments)
    }

    fn argument(&mut self, arguments: &mut Arguments) -> Result<()> {
        let valid = if self.skip_op("*") {
            let valid = arguments.rest.is_none() && arguments.rest_named.is_none();
            arguments.rest = Some(self.expression()?);
            valid
        } else if self.skip_op("**") {
            let valid = arguments.rest_named.is_none();
            arguments.rest_named = Some(self.expression()?);
            valid
        } else if let (Some(Token::Name(name)), Some(Token::Op("="))) = (self.peek(), self.peek_next()) {
            let name = name.clone();
            let valid =
                arguments.rest_named.is_none() && arguments.named.iter().all(|(other, _)| *other != name);
            self.skip();
            self.skip();
            arguments.named.push((name, self.expression()?));
            valid
        } else {
            let valid =
                arguments.rest.is_none() && arguments.rest_named.is_none() && arguments.named.is_empty();
            arguments.positional.push(self.expression()?);
            valid
        };
        if valid { Ok(()) } else { Err(self.fail("invalid syntax for function call expression")) }
    }

    /// `|a|b(1)` after a value, or `a|b(1)` at the start of a filter block.
    pub fn filters(&mut self, value: Option<Expr>, mut inline: bool) -> Result<Expr> {
        let mut value = value.map(Box::new);
        let mut links = 0;
        while inline || self.is_op("|") {
            self.link(&mut links)?;
            let line = self.line();
            if !inline {
                self.skip();
            }
            inline = false;
            let name = self.dotted_name()?;
            let arguments = if self.is_op("(") { self.arguments()? } else { Arguments::default() };
            let filter = ExprKind::Filter(value.take(), name, Box::new(arguments));
            value = Some(Box::new(self.expr(line, filter)));
        }
        value.map(|value| *value).ok_or_else(|| self.unexpected("a filter"))
    }

    fn dotted_name(&mut self) -> Result<Box<str>> {
        let mut name = self.expect_name()?.into_string();
        while self.skip_op(".") {
            name.push('.');
            name.push_str(&self.expect_name()?);
        }
        Ok(name.into())
    }

    fn test(&mut self, value: Expr) -> Result<Expr> {
        let line = self.line();
        let negated = self.skip_name("not");
        let name = self.dotted_name()?;
        let takes = match self.peek() {
            Some(Token::Name(name)) => !matches!(&**name, "else" | "or" | "and"),
            Some(Token::Str(_) | Token::Int(_) | Token::Float(_) | Token::Op("[" | "{")) => true,
            _ => false,
        };
        let arguments = if self.is_op("(") {
            self.arguments()?
        } else if takes {
            if self.is_name("is") {
                return Err(self.fail("You cannot chain multiple tests with is"));
            }
            let argument = self.primary()?;
            Arguments { positional: vec![self.postfix(argument)?], ..Arguments::default() }
        } else {
            Arguments::default()
        };
        let test = self.expr(line, ExprKind::Test(Box::new(value), name, Box::new(arguments)));
        Ok(if negated { self.expr(line, ExprKind::Not(Box::new(test))) } else { test })
    }
}

/// Whether a body reads this name.
pub(super) fn reads(body: &[Stmt], name: &str) -> bool {
    let expr = |e: &Expr| expr_reads(e, name);
    body.iter().any(|stmt| match &stmt.kind {
        StmtKind::Text(_) | StmtKind::OtherTemplate(_) | StmtKind::Break | StmtKind::Continue => false,
        StmtKind::Print(values) => values.iter().any(expr),
        StmtKind::If(branches) => {
            let If { branches, otherwise } = &**branches;
            branches.iter().any(|(condition, body)| expr(condition) || reads(body, name))
                || reads(otherwise, name)
        }
        StmtKind::For(each) => {
            let For { items, filter, body, otherwise, .. } = &**each;
            expr(items)
                || filter.iter().any(expr)
                || reads(&body.statements, name)
                || reads(&otherwise.statements, name)
        }
        StmtKind::With(values, body) => {
            values.iter().any(|(_, value)| expr(value)) || reads(&body.statements, name)
        }
        StmtKind::Set(_, value) => expr(value),
        StmtKind::SetBlock(_, filter, body) => {
            filter.iter().any(|f| expr(f)) || reads(&body.statements, name)
        }
        StmtKind::Filter(filter, body) => expr(filter) || reads(&body.statements, name),
        StmtKind::Macro(function) => function_reads(function, name),
        StmtKind::Call(function, call) => expr(call) || function_reads(function, name),
        StmtKind::Scope(body) => reads(&body.statements, name),
    })
}

fn function_reads(function: &Macro, name: &str) -> bool {
    function.defaults.iter().any(|e| expr_reads(e, name)) || reads(&function.body.statements, name)
}

fn expr_reads(expr: &Expr, name: &str) -> bool {
    let read = |e: &Expr| expr_reads(e, name);
    match &expr.kind {
        ExprKind::Literal(_) => false,
        ExprKind::Name(found) => **found == *name,
        ExprKind::List(items) | ExprKind::Tuple(items) | ExprKind::Concat(items) => items.iter().any(read),
        ExprKind::Dict(items) => items.iter().any(|(key, value)| read(key) || read(value)),
        ExprKind::Not(operand) | ExprKind::Sign { operand, .. } | ExprKind::Attribute(operand, _) => {
            read(operand)
        }
        ExprKind::Binary(_, a, b) | ExprKind::And(a, b) | ExprKind::Or(a, b) | ExprKind::Item(a, b) => {
            read(a) || read(b)
        }
        ExprKind::Compare(first, rest) => read(first) || rest.iter().any(|(_, e)| read(e)),
        ExprKind::Conditional { condition, then, otherwise } => {
            read(condition) || read(then) || otherwise.iter().any(|e| read(e))
        }
        ExprKind::Slice(value, bounds) => read(value) || bounds.iter().flatten().any(read),
        ExprKind::Call(callee, arguments) => read(callee) || arguments_read(arguments, name),
        ExprKind::Filter(value, _, arguments) => {
            value.iter().any(|e| read(e)) || arguments_read(arguments, name)
        }
        ExprKind::Test(value, _, arguments) => read(value) || arguments_read(arguments, name),
    }
}

fn arguments_read(arguments: &Arguments, name: &str) -> bool {
    let Arguments { positional, named, rest, rest_named } = arguments;
    let named = named.iter().map(|(_, e)| e);
    positional.iter().chain(named).chain(rest).chain(rest_named).any(|e| expr_reads(e, name))
}
