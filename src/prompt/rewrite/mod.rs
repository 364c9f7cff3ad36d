//! A template's source, written again so that its operators and filters are functions of ours.
//!
//! minijinja has no hook for what `+`, `~`, `%`, `<` and their like do, nor for the bytes that they make. So the template
//! is parsed by minijinja's own parser and written out as another template, which minijinja compiles and runs: `a ~ b`
//! becomes `__concat(a, b)`, which [`super::pycompat`] has. Every part stays in its line, so errors name the right one.

mod expression;

use minijinja::machinery::{Span, ast, parse};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Error, ErrorKind};

use ast::{Expr, Stmt};

/// The template in which the operators are functions.
pub(super) fn rewritten(source: &str, name: &str, syntax: SyntaxConfig) -> Result<String, Error> {
    let template = parse(source, name, syntax)?;
    let mut writer = Writer { out: String::with_capacity(source.len() * 2), line: 1 };
    writer.statement(&template)?;
    Ok(writer.out)
}

/// Source that is being written, and in which line its end is.
struct Writer {
    out: String,
    line: u16,
}

type Done = Result<(), Error>;

impl Writer {
    fn text(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// Goes down to the line of what comes next; only within tags, where line ends are blanks.
    fn go_to(&mut self, span: Span) {
        while self.line < span.start_line {
            self.out.push('\n');
            self.line += 1;
        }
    }

    fn open(&mut self, span: Span, what: &str) {
        self.text("{% ");
        self.go_to(span);
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

    fn statements(&mut self, statements: &[Stmt]) -> Done {
        statements.iter().try_for_each(|statement| self.statement(statement))
    }

    fn statement(&mut self, statement: &Stmt) -> Done {
        match statement {
            Stmt::Template(s) => self.statements(&s.children),
            Stmt::EmitExpr(s) => self.emit(s.span(), |w| w.expression(&s.expr)),
            // Printed like any value, so that its bytes count.
            Stmt::EmitRaw(s) => self.emit(s.span(), |w| {
                w.string(s.raw);
                Ok(())
            }),
            Stmt::ForLoop(s) => self.for_loop(s, s.span()),
            Stmt::IfCond(s) => self.condition(s, s.span()),
            Stmt::WithBlock(s) => self.with(s, s.span()),
            Stmt::Set(s) => {
                self.open(s.span(), "set ");
                self.target(&s.target);
                self.text(" = ");
                self.expression(&s.expr)?;
                self.close();
                Ok(())
            }
            Stmt::SetBlock(s) => {
                self.open(s.span(), "set ");
                self.target(&s.target);
                if let Some(filter) = &s.filter {
                    self.text(" | ");
                    self.expression(filter)?;
                }
                self.block("set", &s.body)
            }
            Stmt::AutoEscape(s) => {
                self.open(s.span(), "autoescape ");
                self.expression(&s.enabled)?;
                self.block("autoescape", &s.body)
            }
            Stmt::FilterBlock(s) => {
                self.open(s.span(), "filter ");
                self.expression(&s.filter)?;
                self.block("filter", &s.body)
            }
            Stmt::Macro(s) => self.macro_declaration(s, s.span()),
            Stmt::CallBlock(s) => {
                self.open(s.span(), "call");
                self.parameters(&s.macro_decl)?;
                self.text(" ");
                self.call(&s.call)?;
                self.close();
                self.defaults(&s.macro_decl)?;
                self.statements(&s.macro_decl.body)?;
                self.end("call");
                Ok(())
            }
            Stmt::Continue(s) => self.alone(s.span(), "continue"),
            Stmt::Break(s) => self.alone(s.span(), "break"),
            Stmt::Do(s) => {
                self.open(s.span(), "do ");
                self.call(&s.call)?;
                self.close();
                Ok(())
            }
            other => self.of_several_templates(other),
        }
    }

    /// What is about other templates, of which there are none.
    fn of_several_templates(&mut self, statement: &Stmt) -> Done {
        match statement {
            Stmt::Block(s) => {
                self.open(s.span(), "block ");
                self.text(s.name);
                self.text(if s.required { " required" } else { "" });
                self.block("block", &s.body)
            }
            Stmt::Extends(s) => {
                self.open(s.span(), "extends ");
                self.expression(&s.name)?;
                self.close();
                Ok(())
            }
            Stmt::Include(s) => {
                self.open(s.span(), "include ");
                self.expression(&s.name)?;
                self.text(if s.ignore_missing { " ignore missing" } else { "" });
                self.close();
                Ok(())
            }
            _ => Err(Error::new(ErrorKind::SyntaxError, "a chat template cannot import other templates")),
        }
    }

    fn emit(&mut self, span: Span, what: impl FnOnce(&mut Self) -> Done) -> Done {
        self.text("{{ ");
        self.go_to(span);
        what(self)?;
        self.text(" }}");
        Ok(())
    }

    fn alone(&mut self, span: Span, what: &str) -> Done {
        self.open(span, what);
        self.close();
        Ok(())
    }

    /// The rest of a tag, its body, and the tag that ends it.
    fn block(&mut self, name: &str, body: &[Stmt]) -> Done {
        self.close();
        self.statements(body)?;
        self.end(name);
        Ok(())
    }

    fn for_loop(&mut self, s: &ast::ForLoop, span: Span) -> Done {
        self.open(span, "for ");
        self.target(&s.target);
        self.text(" in __iterable(");
        self.expression(&s.iter)?;
        self.text(")");
        if let Some(filter) = &s.filter_expr {
            self.text(" if ");
            self.expression(filter)?;
        }
        self.text(if s.recursive { " recursive" } else { "" });
        self.close();
        self.statements(&s.body)?;
        if !s.else_body.is_empty() {
            self.text("{% else %}");
            self.statements(&s.else_body)?;
        }
        self.end("for");
        Ok(())
    }

    fn condition(&mut self, s: &ast::IfCond, span: Span) -> Done {
        self.open(span, "if ");
        self.expression(&s.expr)?;
        self.close();
        self.statements(&s.true_body)?;
        if !s.false_body.is_empty() {
            self.text("{% else %}");
            self.statements(&s.false_body)?;
        }
        self.end("if");
        Ok(())
    }

    /// The values of several names are those from before all of them.
    fn with(&mut self, s: &ast::WithBlock, span: Span) -> Done {
        let several = s.assignments.len() > 1;
        self.open(span, "with ");
        for (index, (target, value)) in s.assignments.iter().enumerate() {
            self.text(if index > 0 { ", " } else { "" });
            if several {
                self.text(&format!("__with{index}"));
            } else {
                self.target(target);
            }
            self.text(" = ");
            self.expression(value)?;
        }
        if !several {
            return self.block("with", &s.body);
        }
        self.text(" %}{% with ");
        for (index, (target, _)) in s.assignments.iter().enumerate() {
            self.text(if index > 0 { ", " } else { "" });
            self.target(target);
            self.text(&format!(" = __with{index}"));
        }
        self.block("with", &s.body)?;
        self.end("with");
        Ok(())
    }

    fn macro_declaration(&mut self, s: &ast::Macro, span: Span) -> Done {
        self.open(span, "macro ");
        self.text(s.name);
        self.parameters(s)?;
        self.close();
        self.defaults(s)?;
        self.statements(&s.body)?;
        self.end("macro");
        Ok(())
    }

    /// The parameters, whose defaults are left to the body where they are more than a constant.
    fn parameters(&mut self, s: &ast::Macro) -> Done {
        let mut seen = Vec::new();
        let first_default = s.args.len() - s.defaults.len();
        self.text("(");
        for (index, parameter) in s.args.iter().enumerate() {
            let name = name_of(parameter);
            if seen.contains(&name) {
                let message = format!("duplicate argument '{name}' in a macro's declaration");
                return Err(Error::new(ErrorKind::SyntaxError, message));
            }
            seen.push(name);
            self.text(if index > 0 { ", " } else { "" });
            self.text(name);
            match index.checked_sub(first_default).map(|at| &s.defaults[at]) {
                None => {}
                Some(Expr::Const(value)) => {
                    self.text("=");
                    self.constant(value)?;
                }
                Some(_) => self.text("=__unset"),
            }
        }
        self.text(")");
        Ok(())
    }

    /// Gives parameters their defaults, in which those before are seen, and those after are not defined yet.
    fn defaults(&mut self, s: &ast::Macro) -> Done {
        let first_default = s.args.len() - s.defaults.len();
        let computed = || {
            let parameters = s.args[first_default..].iter().map(name_of).zip(&s.defaults);
            parameters.filter(|(_, default)| !matches!(default, Expr::Const(_)))
        };
        for (name, _) in computed() {
            self.text(&format!("{{% set __no_{name} = __is_unset({name}) %}}"));
            self.text(&format!("{{% set {name} = ({name} if not __no_{name}) %}}"));
        }
        for (name, default) in computed() {
            self.text(&format!("{{% set {name} = ("));
            self.expression(default)?;
            self.text(&format!(" if __no_{name} else {name}) %}}"));
        }
        Ok(())
    }

    /// What is assigned to: a name, an attribute of a namespace, or a list of these.
    fn target(&mut self, target: &Expr) {
        match target {
            Expr::Var(s) => self.text(s.id),
            Expr::GetAttr(s) => {
                self.target(&s.expr);
                self.text(".");
                self.text(s.name);
            }
            Expr::List(s) => self.targets(&s.items),
            Expr::Tuple(s) => self.targets(&s.items),
            // The parser makes nothing else.
            _ => {}
        }
    }

    fn targets(&mut self, targets: &[Expr]) {
        for (index, target) in targets.iter().enumerate() {
            self.text(if index > 0 { ", " } else { "" });
            let is_nested = matches!(target, Expr::List(_) | Expr::Tuple(_));
            self.text(if is_nested { "(" } else { "" });
            self.target(target);
            self.text(if is_nested { ")" } else { "" });
        }
        if targets.len() == 1 {
            self.text(",");
        }
    }
}

/// The name of a parameter; the parser lets nothing else be one.
fn name_of<'a>(parameter: &Expr<'a>) -> &'a str {
    match parameter {
        Expr::Var(s) => s.id,
        _ => "",
    }
}
