//! Macros, and what is called with a body.

use super::Writer;
use super::ast::{Expr, Kind, Signature, Stmt};
use super::leaving::mentions;

impl<'s> Writer<'s> {
    /// Where the body reads `varargs` or `kwargs`, the macro gets them as last parameters, from what calls it by its name.
    pub(super) fn macro_declaration(
        &mut self,
        name: &str,
        signature: &Signature<'s>,
        body: &[Stmt<'s>],
        line: u32,
    ) {
        let takes_rest = mentions(body, "varargs") || mentions(body, "kwargs");
        self.open(line, "macro ");
        self.text(if takes_rest { "__macro_" } else { "" });
        self.text(name);
        self.parameters(signature, takes_rest);
        self.close();
        self.function(signature, body);
        self.end("macro");
        if takes_rest {
            let names: Vec<String> = signature.names.iter().map(|name| format!("\"{name}\"")).collect();
            let names = names.join(", ");
            let reads =
                ["varargs", "kwargs", "caller"].map(|name| mentions(body, name).to_string()).join(", ");
            self.text(&format!("{{% set {name} = __with_rest(__macro_{name}, [{names}], {reads}) %}}"));
        }
    }

    pub(super) fn call_block(
        &mut self,
        call: &Expr,
        signature: &Signature<'s>,
        body: &[Stmt<'s>],
        line: u32,
    ) {
        self.open(line, "call");
        self.parameters(signature, false);
        self.text(" ");
        self.expression(call);
        self.close();
        self.function(signature, body);
        self.end("call");
    }

    fn function(&mut self, signature: &Signature<'s>, body: &[Stmt<'s>]) {
        let outer = self.leaves_by.take();
        self.defaults(signature);
        let mut names = signature.names.clone();
        names.extend(["varargs", "kwargs", "caller"]);
        self.scope(body, &names);
        self.leaves_by = outer;
    }

    /// The parameters, whose defaults are left to the body from the first on that is more than a constant.
    fn parameters(&mut self, s: &Signature<'s>, takes_rest: bool) {
        let first_default = s.names.len() - s.defaults.len();
        self.text("(");
        for (index, name) in s.names.iter().enumerate() {
            self.text(if index > 0 { ", " } else { "" });
            self.text(name);
            match index.checked_sub(first_default).map(|at| &s.defaults[at]) {
                None => self.text(if takes_rest { "=__undefined" } else { "" }),
                Some(value) if index < first_computed(s) => {
                    self.text("=");
                    self.expression(value);
                }
                Some(_) => self.text("=__unset"),
            }
        }
        if takes_rest {
            self.text(if s.names.is_empty() { "" } else { ", " });
            self.text("varargs=(), kwargs={}");
        }
        self.text(")");
    }

    /// Gives parameters their defaults, in which those before are seen, and those after are not defined yet.
    fn defaults(&mut self, s: &Signature<'s>) {
        let first = first_computed(s);
        let defaults = &s.defaults[s.defaults.len() - (s.names.len() - first)..];
        let computed = || s.names[first..].iter().zip(defaults);
        for (name, _) in computed() {
            self.text(&format!("{{% set __no_{name} = __is_unset({name}) %}}"));
            self.text(&format!("{{% set {name} = ({name} if not __no_{name}) %}}"));
        }
        for (name, default) in computed() {
            self.text(&format!("{{% set {name} = ("));
            self.expression(default);
            self.text(&format!(" if __no_{name} else {name}) %}}"));
        }
    }
}

/// The index of the first parameter whose default has to be computed.
fn first_computed(s: &Signature) -> usize {
    let computed = s.defaults.iter().position(|default| !is_constant(default)).unwrap_or(s.defaults.len());
    s.names.len() - s.defaults.len() + computed
}

fn is_constant(e: &Expr) -> bool {
    matches!(e.kind, Kind::Bool(_) | Kind::None | Kind::Int(_) | Kind::Float(_) | Kind::Text(_))
}
