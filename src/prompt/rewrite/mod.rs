//! A template's source, written again so that its operators and filters are functions of ours.
//!
//! minijinja parses a few things in another way than jinja2 does, and has no hook for what `+`, `~`, `%`, `<` and their like
//! do, nor for the bytes that they make. So templates are parsed here, as jinja2 parses them, and written out as another
//! template, which minijinja compiles and runs: `a ~ b` becomes `__concat(a, b)`, which [`super::pycompat`] has. Every part
//! stays in its line, so errors name the right one.

mod ast;
mod escapes;
mod expression;
mod expressions;
mod leaving;
mod lexer;
mod macros;
mod names;
mod parser;

use ast::{Expr, Loop, Step, Stmt, StmtKind, Target};
use leaving::{leaves, mentions, sets};
use names::{Scope, names_of};

/// What is wrong with a template, and in which line.
#[derive(Debug)]
pub(super) struct Mistake {
    pub line: u32,
    pub what: String,
}

/// The template in which the operators are functions; line ends have to be newlines.
pub(super) fn rewritten(source: &str) -> Result<String, Mistake> {
    let statements = parser::parse(source)?;
    let mut writer = Writer {
        out: String::with_capacity(source.len() * 2),
        line: 1,
        flags: 0,
        leaves_by: None,
        scopes: Vec::new(),
    };
    writer.scope(&statements, &[]);
    Ok(writer.out)
}

/// Source that is being written, and in which line its end is.
struct Writer<'s> {
    out: String,
    line: u32,
    /// How many names of flags are taken.
    flags: usize,
    /// The flag by which a loop is left where no `break` and no `continue` may stand.
    leaves_by: Option<usize>,
    /// The scopes that the end of the source is in.
    scopes: Vec<Scope<'s>>,
}

impl<'s> Writer<'s> {
    fn text(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// Goes down to a line; only within tags, where line ends are blanks.
    fn go_to(&mut self, line: u32) {
        while self.line < line {
            self.out.push('\n');
            self.line += 1;
        }
    }

    fn open(&mut self, line: u32, what: &str) {
        self.text("{% ");
        self.go_to(line);
        self.text(what);
    }

    fn close(&mut self) {
        self.text(" %}");
    }

    fn end(&mut self, what: &str) {
        self.text("{% end");
        self.text(what);
        self.close();
    }

    /// The number of a flag that nothing else has.
    fn flag(&mut self) -> usize {
        self.flags += 1;
        self.flags
    }

    /// After what may leave the loop by a flag, the rest is only done where it has not.
    fn statements(&mut self, statements: &[Stmt<'s>]) {
        let mut guards = 0;
        for statement in statements {
            self.statement(statement);
            if let Some(flag) = self.leaves_by.filter(|_| leaves(statement)) {
                self.text(&format!("{{% if not __flag{flag}.up %}}"));
                guards += 1;
            }
        }
        (0..guards).for_each(|_| self.end("if"));
    }

    /// Statements of a scope of their own, with these parameters.
    fn scope(&mut self, body: &[Stmt<'s>], parameters: &[&'s str]) {
        let scope = Scope::of(body, parameters, &self.scopes);
        for name in scope.read_too_early(body) {
            self.text(&format!("{{% set {name} = __undefined %}}"));
        }
        self.scopes.push(scope);
        self.statements(body);
        self.scopes.pop();
    }

    fn statement(&mut self, statement: &Stmt<'s>) {
        let line = statement.line;
        match &statement.kind {
            // Printed like any value, so that its bytes count.
            StmtKind::Data(text) => self.emit(line, |w| w.string(text)),
            StmtKind::Print(value) => self.emit(line, |w| w.expression(value)),
            StmtKind::For(s) => self.for_loop(s, line),
            StmtKind::If(branches, otherwise) => self.condition(branches, otherwise, line),
            StmtKind::With(values, body) => self.with(values, body, line),
            StmtKind::Set(target, value) => {
                self.open(line, "set ");
                self.target(target);
                // A macro sees what is outside of it only where it reads it.
                let namespace = if let Target::Attr(name, _) = target { Some(name) } else { None };
                self.text(if namespace.is_some() { " = __held(" } else { " = " });
                self.expression(value);
                if let Some(name) = namespace {
                    self.text(&format!(", {name})"));
                }
                self.close();
            }
            StmtKind::SetBlock(target, filters, body) => self.set_block(target, filters, body, line),
            StmtKind::Filter(filters, body) => self.filter_block(filters, body, line),
            StmtKind::AutoEscape(enabled, body) => {
                self.open(line, "autoescape ");
                self.expression(enabled);
                self.block("autoescape", body);
            }
            StmtKind::Macro(name, signature, body) => self.macro_declaration(name, signature, body, line),
            StmtKind::Call(call, signature, body) => self.call_block(call, signature, body, line),
            StmtKind::Break => self.leave("break", line),
            StmtKind::Continue => self.leave("continue", line),
            StmtKind::Block(name, required, body) => {
                self.open(line, "block ");
                self.text(name);
                self.text(if *required { " required" } else { "" });
                self.block("block", body);
            }
            StmtKind::Extends(name) => {
                self.open(line, "extends ");
                self.expression(name);
                self.close();
            }
            StmtKind::Include(name, ignores) => {
                self.open(line, "include ");
                self.expression(name);
                self.text(if *ignores { " ignore missing" } else { "" });
                self.close();
            }
        }
    }

    fn emit(&mut self, line: u32, what: impl FnOnce(&mut Self)) {
        self.text("{{ ");
        self.go_to(line);
        what(self);
        self.text(" }}");
    }

    /// The rest of a tag, its body, and the tag that ends it.
    fn block(&mut self, name: &str, body: &[Stmt<'s>]) {
        self.close();
        self.statements(body);
        self.end(name);
    }

    fn set_block(&mut self, target: &Target<'s>, filters: &[Step<'s>], body: &[Stmt<'s>], line: u32) {
        self.leaving(body, |w, flag| {
            w.open(line, "set ");
            if let Some(flag) = flag {
                w.capture(body, flag);
                w.open(line, "set ");
                w.target(target);
                w.text(" = __captured");
                w.filters(filters);
                w.close();
                return w.end("if");
            }
            w.target(target);
            w.text(if filters.is_empty() { "" } else { " | " });
            w.chain(filters);
            w.close();
            w.scoped(body);
            w.end("set");
        });
    }

    /// Filters see the names that the body sets, and what they make is printed within.
    fn filter_block(&mut self, filters: &[Step<'s>], body: &[Stmt<'s>], line: u32) {
        self.leaving(body, |w, flag| {
            if flag.is_none() && !sets(body) {
                w.open(line, "filter ");
                w.chain(filters);
                w.text("|__text");
                w.close();
                w.scope(body, &[]);
                return w.end("filter");
            }
            w.text("{% with %}");
            w.open(line, "set __captured");
            w.close();
            w.scope(body, &[]);
            w.end("set");
            if let Some(flag) = flag {
                w.text(&format!("{{% if not __flag{flag}.up %}}"));
            }
            w.text("{{ __captured");
            w.filters(filters);
            w.text("|__text }}");
            w.text(if flag.is_some() { "{% endif %}" } else { "" });
            w.end("with");
        });
    }

    /// What a body prints becomes a value, and what follows is only for where the loop was not left within.
    fn capture(&mut self, body: &[Stmt<'s>], flag: usize) {
        self.text("__captured");
        self.close();
        self.scoped(body);
        self.end("set");
        self.text(&format!("{{% if not __flag{flag}.up %}}"));
    }

    /// A body, whose names are its own.
    fn scoped(&mut self, body: &[Stmt<'s>]) {
        match sets(body) {
            true => self.with(&[], body, self.line),
            false => self.scope(body, &[]),
        }
    }

    /// minijinja goes through a loop's filter before it, and has an `else` for what has no items. In Python an item is tested
    /// when its turn comes, and the `else` is for loops no round of which came to its end.
    fn for_loop(&mut self, s: &Loop<'s>, line: u32) {
        let tested = s.filter.as_ref().filter(|_| !s.recursive && !mentions(&s.body, "loop"));
        let flagged =
            !s.otherwise.is_empty() && !s.recursive && (tested.is_some() || s.body.iter().any(leaves));
        let flag = flagged.then(|| self.flag());
        if let Some(flag) = flag {
            self.text(&format!("{{% set __flag{flag} = __flag() %}}"));
        }
        self.open(line, "for ");
        self.target(&s.target);
        self.text(" in __iterable(");
        self.expression(&s.items);
        self.text(")");
        if let Some(filter) = s.filter.as_ref().filter(|_| tested.is_none()) {
            self.text(" if ");
            self.expression(filter);
        }
        self.text(if s.recursive { " recursive" } else { "" });
        self.close();
        if let Some(test) = tested {
            self.text("{% if ");
            self.expression(test);
            self.close();
        }
        let outer = self.leaves_by.take();
        let mut names = names_of(&s.target);
        names.push("loop");
        self.scope(&s.body, &names);
        self.leaves_by = outer;
        if let Some(flag) = flag {
            self.text(&format!("{{% set __flag{flag}.up = true %}}"));
        }
        if tested.is_some() {
            self.end("if");
        }
        if !s.otherwise.is_empty() && flag.is_none() {
            self.text("{% else %}");
            self.scope(&s.otherwise, &[]);
        }
        self.end("for");
        if let Some(flag) = flag {
            self.text(&format!("{{% if not __flag{flag}.up %}}"));
            self.statements(&s.otherwise);
            self.end("if");
        }
    }

    fn condition(&mut self, branches: &[(Expr<'s>, Vec<Stmt<'s>>)], otherwise: &[Stmt<'s>], line: u32) {
        for (index, (test, body)) in branches.iter().enumerate() {
            match index {
                0 => self.open(line, "if "),
                _ => self.text("{% elif "),
            }
            self.expression(test);
            self.close();
            self.statements(body);
        }
        if !otherwise.is_empty() {
            self.text("{% else %}");
            self.statements(otherwise);
        }
        self.end("if");
    }

    fn with(&mut self, values: &[(Target<'s>, Expr<'s>)], body: &[Stmt<'s>], line: u32) {
        self.leaving(body, |w, _| w.whole_with(values, body, line));
    }

    /// minijinja cannot leave a loop from within `with`, nor from what is captured: it is left behind that, by a flag.
    fn leaving(&mut self, body: &[Stmt<'s>], write: impl FnOnce(&mut Self, Option<usize>)) {
        let leaves = body.iter().any(leaves);
        if !leaves || self.leaves_by.is_some() {
            return write(self, self.leaves_by.filter(|_| leaves));
        }
        let flag = self.flag();
        self.text(&format!("{{% set __flag{flag} = __flag() %}}"));
        self.leaves_by = Some(flag);
        write(self, Some(flag));
        self.leaves_by = None;
        for word in ["break", "continue"] {
            self.text(&format!("{{% if __flag{flag}.up == \"{word}\" %}}{{% {word} %}}{{% endif %}}"));
        }
    }

    /// The values of several names are those from before all of them.
    fn whole_with(&mut self, values: &[(Target<'s>, Expr<'s>)], body: &[Stmt<'s>], line: u32) {
        let several = values.len() > 1;
        self.open(line, "with ");
        for (index, (target, value)) in values.iter().enumerate() {
            self.text(if index > 0 { ", " } else { "" });
            if several {
                self.text(&format!("__with{index}"));
            } else {
                self.bracketed_target(target);
            }
            self.text(" = ");
            self.expression(value);
        }
        let names: Vec<&str> = values.iter().flat_map(|(target, _)| names_of(target)).collect();
        if !several {
            self.close();
            self.scope(body, &names);
            return self.end("with");
        }
        self.text(" %}{% with ");
        for (index, (target, _)) in values.iter().enumerate() {
            self.text(if index > 0 { ", " } else { "" });
            self.bracketed_target(target);
            self.text(&format!(" = __with{index}"));
        }
        self.close();
        self.scope(body, &names);
        self.end("with");
        self.end("with");
    }

    fn leave(&mut self, word: &str, line: u32) {
        match self.leaves_by {
            Some(flag) => {
                self.open(line, &format!("set __flag{flag}.up = \"{word}\""));
            }
            None => self.open(line, word),
        }
        self.close();
    }

    fn target(&mut self, target: &Target) {
        match target {
            Target::Name(name) => self.text(name),
            Target::Attr(name, attribute) => {
                self.text(name);
                self.text(".");
                self.text(attribute);
            }
            Target::Several(targets) => {
                for (index, target) in targets.iter().enumerate() {
                    self.text(if index > 0 { ", " } else { "" });
                    self.bracketed_target(target);
                }
                self.text(if targets.len() == 1 { "," } else { "" });
            }
        }
    }

    /// The same where several targets want brackets.
    fn bracketed_target(&mut self, target: &Target) {
        let is_several = matches!(target, Target::Several(_));
        self.text(if is_several { "(" } else { "" });
        self.target(target);
        self.text(if is_several { ")" } else { "" });
    }
}
