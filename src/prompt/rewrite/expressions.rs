//! Expressions, as jinja2 parses them.

use super::Mistake;
use super::ast::{Arg, Expr, Kind, Step};
use super::lexer::Token;
use super::parser::Parser;

/// Binary operators by how tightly they bind, the loosest first.
const RANKS: [&[&str]; 4] = [&["+", "-"], &["~"], &["*", "/", "//", "%"], &["**"]];

const COMPARISONS: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];

/// How deep expressions may go.
const HEIGHT: usize = 400;

type Parsed<'s> = Result<Expr<'s>, Mistake>;

impl<'s> Parser<'s> {
    /// An expression, unless it is too deep for what comes after the parser.
    fn built(&self, line: u32, kind: Kind<'s>) -> Parsed<'s> {
        let e = Expr::new(line, kind);
        if e.height > HEIGHT {
            self.mistake("the expression nests too deeply, or is too long")
        } else {
            Ok(e)
        }
    }

    fn chained(&self, line: u32, first: Expr<'s>, rest: Vec<(&'static str, Expr<'s>)>) -> Parsed<'s> {
        if rest.is_empty() { Ok(first) } else { self.built(line, Kind::Chain(Box::new(first), rest)) }
    }

    fn followed(&self, line: u32, value: Expr<'s>, steps: Vec<Step<'s>>) -> Parsed<'s> {
        if steps.is_empty() { Ok(value) } else { self.built(line, Kind::Postfix(Box::new(value), steps)) }
    }

    pub fn expression(&mut self) -> Parsed<'s> {
        self.nested(Self::conditional)
    }

    /// One expression, or several with commas between them.
    pub fn tuple(&mut self) -> Parsed<'s> {
        self.tuple_of(Self::expression, None)
    }

    /// The same without an `if` of their own, which may end with a word.
    pub fn unconditional_tuple(&mut self, end: Option<&str>) -> Parsed<'s> {
        self.tuple_of(|parser| parser.nested(Self::or), end)
    }

    fn tuple_of(&mut self, item: fn(&mut Self) -> Parsed<'s>, end: Option<&str>) -> Parsed<'s> {
        let line = self.line();
        let mut items = Vec::new();
        let mut is_tuple = false;
        while !self.ends_tuple() && !end.is_some_and(|word| self.is_word(word)) {
            items.push(item(self)?);
            if !self.skip(",") {
                break;
            }
            is_tuple = true;
        }
        match items.pop() {
            Some(item) if !is_tuple => Ok(item),
            None => self.unexpected("an expression"),
            last => {
                items.extend(last);
                self.built(line, Kind::Tuple(items))
            }
        }
    }

    fn ends_tuple(&self) -> bool {
        matches!(self.peek(), Token::VariableEnd | Token::BlockEnd) || self.is(")")
    }

    fn conditional(&mut self) -> Parsed<'s> {
        let line = self.line();
        let mut value = self.or()?;
        while self.skip_word("if") {
            let test = self.or()?;
            let otherwise = match self.skip_word("else") {
                true => Some(Box::new(self.nested(Self::conditional)?)),
                false => None,
            };
            value = self.built(line, Kind::Cond(Box::new([value, test]), otherwise))?;
        }
        Ok(value)
    }

    pub fn or(&mut self) -> Parsed<'s> {
        self.words("or", |parser| parser.words("and", Self::not))
    }

    /// Terms with a word between them.
    fn words(&mut self, word: &'static str, term: impl Fn(&mut Self) -> Parsed<'s>) -> Parsed<'s> {
        let line = self.line();
        let first = term(self)?;
        let mut rest = Vec::new();
        while self.skip_word(word) {
            rest.push((word, term(self)?));
        }
        self.chained(line, first, rest)
    }

    fn not(&mut self) -> Parsed<'s> {
        let line = self.line();
        if !self.skip_word("not") {
            return self.comparison();
        }
        let value = self.nested(Self::not)?;
        self.built(line, Kind::Unary("not", Box::new(value)))
    }

    fn comparison(&mut self) -> Parsed<'s> {
        let line = self.line();
        let first = self.ranked(&RANKS)?;
        let mut rest = Vec::new();
        loop {
            let operator = COMPARISONS.into_iter().find(|operator| self.is(operator));
            let operator = if let Some(operator) = operator {
                self.take();
                operator
            } else if self.skip_word("in") {
                "in"
            } else if self.is_word("not") && *self.ahead(1) == Token::Name("in") {
                self.take();
                self.take();
                "not in"
            } else {
                break;
            };
            rest.push((operator, self.ranked(&RANKS)?));
        }
        if rest.is_empty() { Ok(first) } else { self.built(line, Kind::Compare(Box::new(first), rest)) }
    }

    /// Terms with operators of the first of these ranks between them.
    fn ranked(&mut self, ranks: &'static [&'static [&'static str]]) -> Parsed<'s> {
        let Some((operators, tighter)) = ranks.split_first() else { return self.unary(true) };
        let line = self.line();
        let first = self.ranked(tighter)?;
        let mut rest = Vec::new();
        while let Some(operator) = operators.iter().find(|operator| self.is(operator)) {
            self.take();
            rest.push((*operator, self.ranked(tighter)?));
        }
        self.chained(line, first, rest)
    }

    /// A value with its sign; filters and tests, where they are wanted, are of the signed value.
    fn unary(&mut self, filters: bool) -> Parsed<'s> {
        let line = self.line();
        let sign = ["-", "+"].into_iter().find(|sign| self.is(sign));
        let value = match sign {
            Some(sign) => {
                self.take();
                let value = self.nested(|parser| parser.unary(false))?;
                self.built(line, Kind::Unary(sign, Box::new(value)))?
            }
            None => self.primary()?,
        };
        let mut steps = self.postfix()?;
        if filters {
            self.filters_and_tests(&mut steps)?;
        }
        self.followed(line, value, steps)
    }

    fn primary(&mut self) -> Parsed<'s> {
        let line = self.line();
        let kind = match self.peek() {
            Token::Operator("(") => return self.nested(Self::parenthesized),
            Token::Operator("[") => Kind::List(self.nested(Self::list)?),
            Token::Operator("{") => Kind::Dict(self.nested(Self::dict)?),
            Token::Name(_) | Token::Text(_) | Token::Int(_) | Token::Float(_) => match self.take() {
                Token::Name("true" | "True") => Kind::Bool(true),
                Token::Name("false" | "False") => Kind::Bool(false),
                Token::Name("none" | "None") => Kind::None,
                Token::Name(name) => Kind::Name(name),
                Token::Int(n) => Kind::Int(n),
                Token::Float(x) => Kind::Float(x),
                Token::Text(text) => Kind::Text(self.joined_texts(text)),
                _ => Kind::None,
            },
            _ => return self.unexpected("an expression"),
        };
        self.built(line, kind)
    }

    /// Texts behind one another are one.
    fn joined_texts(&mut self, mut text: String) -> String {
        while matches!(self.peek(), Token::Text(_)) {
            if let Token::Text(more) = self.take() {
                text.push_str(&more);
            }
        }
        text
    }

    fn parenthesized(&mut self) -> Parsed<'s> {
        let line = self.line();
        self.expect("(")?;
        if self.skip(")") {
            return self.built(line, Kind::Tuple(Vec::new()));
        }
        let value = self.tuple()?;
        self.expect(")")?;
        Ok(value)
    }

    fn list(&mut self) -> Result<Vec<Expr<'s>>, Mistake> {
        self.expect("[")?;
        self.items("]", Self::expression)
    }

    fn dict(&mut self) -> Result<Vec<(Expr<'s>, Expr<'s>)>, Mistake> {
        self.expect("{")?;
        self.items("}", |parser| {
            let key = parser.expression()?;
            parser.expect(":")?;
            Ok((key, parser.expression()?))
        })
    }

    /// Items with commas between them, and maybe behind the last one, up to what closes them.
    fn items<T>(
        &mut self,
        close: &str,
        item: impl Fn(&mut Self) -> Result<T, Mistake>,
    ) -> Result<Vec<T>, Mistake> {
        let mut items = Vec::new();
        while !self.skip(close) {
            if !items.is_empty() {
                self.expect(",")?;
                if self.skip(close) {
                    break;
                }
            }
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// Attributes, items and calls behind a value.
    fn postfix(&mut self) -> Result<Vec<Step<'s>>, Mistake> {
        let mut steps = Vec::new();
        loop {
            let step = match self.peek() {
                Token::Operator(".") => {
                    self.take();
                    self.attribute()?
                }
                Token::Operator("[") => self.nested(Self::subscript)?,
                Token::Operator("(") => Step::Call(self.nested(Self::arguments)?),
                _ => return Ok(steps),
            };
            steps.push(step);
        }
    }

    fn attribute(&mut self) -> Result<Step<'s>, Mistake> {
        let line = self.line();
        match *self.peek() {
            Token::Name(name) => {
                self.take();
                Ok(Step::Attr(name))
            }
            Token::Int(index) => {
                self.take();
                Ok(Step::Item(Expr::new(line, Kind::Int(index))))
            }
            _ => self.unexpected("a name or a number"),
        }
    }

    fn subscript(&mut self) -> Result<Step<'s>, Mistake> {
        let line = self.line();
        self.expect("[")?;
        let mut items = Vec::new();
        while !self.skip("]") {
            if !items.is_empty() {
                self.expect(",")?;
            }
            if self.is(":") {
                return self.slice(None, items.is_empty());
            }
            let item = self.expression()?;
            if self.is(":") {
                return self.slice(Some(item), items.is_empty());
            }
            items.push(item);
        }
        Ok(Step::Item(match items.pop() {
            Some(item) if items.is_empty() => item,
            last => {
                items.extend(last);
                self.built(line, Kind::Tuple(items))?
            }
        }))
    }

    /// The rest of a slice, from its first colon on.
    fn slice(&mut self, start: Option<Expr<'s>>, is_alone: bool) -> Result<Step<'s>, Mistake> {
        self.expect(":")?;
        let ends = |parser: &Self| parser.is("]") || parser.is(",");
        let stop = if ends(self) || self.is(":") { None } else { Some(self.expression()?) };
        let step = if self.skip(":") && !ends(self) { Some(self.expression()?) } else { None };
        if !is_alone || self.is(",") {
            return self.mistake("several slices of one value are not supported");
        }
        self.expect("]")?;
        Ok(Step::Slice([start, stop, step]))
    }

    fn arguments(&mut self) -> Result<Vec<Arg<'s>>, Mistake> {
        self.expect("(")?;
        let mut arguments = self.items(")", |parser| {
            Ok(match (parser.peek(), parser.ahead(1)) {
                (Token::Operator("*"), _) => {
                    parser.take();
                    Arg::Splat(parser.expression()?)
                }
                (Token::Operator("**"), _) => {
                    parser.take();
                    Arg::NamedSplat(parser.expression()?)
                }
                (Token::Name(name), Token::Operator("=")) => {
                    let name = *name;
                    parser.take();
                    parser.take();
                    Arg::Named(name, parser.expression()?)
                }
                _ => Arg::Positional(parser.expression()?),
            })
        })?;
        if !is_call(&arguments) {
            return self.mistake("the arguments of a call stand in a wrong order, or one is given twice");
        }
        // Python takes `*values` before the named ones, wherever they stand.
        arguments.sort_by_key(|argument| matches!(argument, Arg::Named(..) | Arg::NamedSplat(_)));
        Ok(arguments)
    }

    /// Filters; in a tag of its own the first one has no bar before it.
    pub fn filters(&mut self, inline: bool) -> Result<Vec<Step<'s>>, Mistake> {
        let mut steps = Vec::new();
        while inline && steps.is_empty() || self.skip("|") {
            steps.push(self.filter()?);
        }
        if steps.len() > HEIGHT { self.mistake("too many filters") } else { Ok(steps) }
    }

    fn filter(&mut self) -> Result<Step<'s>, Mistake> {
        let name = self.dotted()?;
        Ok(Step::Filter(name, if self.is("(") { self.nested(Self::arguments)? } else { Vec::new() }))
    }

    fn dotted(&mut self) -> Result<String, Mistake> {
        let mut name = self.name()?.to_owned();
        while self.skip(".") {
            name.push('.');
            name.push_str(self.name()?);
        }
        Ok(name)
    }

    fn filters_and_tests(&mut self, steps: &mut Vec<Step<'s>>) -> Result<(), Mistake> {
        loop {
            steps.push(if self.skip("|") {
                self.filter()?
            } else if self.skip_word("is") {
                self.test()?
            } else if self.is("(") {
                Step::Call(self.nested(Self::arguments)?)
            } else {
                return Ok(());
            });
        }
    }

    fn test(&mut self) -> Result<Step<'s>, Mistake> {
        let fails = self.skip_word("not");
        let name = self.dotted()?;
        let begins = matches!(
            self.peek(),
            Token::Name(_) | Token::Text(_) | Token::Int(_) | Token::Float(_) | Token::Operator("[" | "{")
        );
        let arguments = if self.is("(") {
            self.nested(Self::arguments)?
        } else if self.is_word("is") {
            return self.mistake("tests cannot be chained with `is`");
        } else if begins && !["else", "or", "and"].iter().any(|word| self.is_word(word)) {
            let line = self.line();
            let value = self.nested(Self::primary)?;
            let steps = self.postfix()?;
            vec![Arg::Positional(self.followed(line, value, steps)?)]
        } else {
            Vec::new()
        };
        Ok(Step::Test(name, arguments, fails))
    }
}

/// Whether the arguments stand as a call may have them.
fn is_call(arguments: &[Arg]) -> bool {
    let mut seen = [false; 3];
    arguments.iter().all(|argument| {
        let [named, splat, named_splat] = seen;
        match argument {
            Arg::Positional(_) => !named && !splat && !named_splat,
            Arg::Named(..) => {
                seen[0] = true;
                !named_splat
            }
            Arg::Splat(_) => {
                seen[1] = true;
                !splat && !named_splat
            }
            Arg::NamedSplat(_) => {
                seen[2] = true;
                !named_splat
            }
        }
    })
}
