//! Which names of a scope begin undefined, as jinja2's compiler decides before it runs anything.
//!
//! A scope that sets a name before it reads it has that name for its own from its beginning: what the template is given
//! under it is not seen by the scopes inside either. Where a name is set in some branch only, the outer value shows.

use std::collections::{HashMap, HashSet};

use super::ast::{Arguments, Body, Expr, ExprKind, Macro, Stmt, StmtKind, Target};

/// How a scope refers to a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reference {
    /// To what it means outside.
    Outer,
    /// To what is set here, and nothing before that.
    Unset,
    /// To a parameter.
    Parameter,
}

/// The names of one scope.
#[derive(Clone, Debug, Default)]
struct Names {
    references: HashMap<Box<str>, Reference>,
    stored: HashSet<Box<str>>,
}

/// With the names that begin undefined.
pub(super) fn resolved(statements: Vec<Stmt>) -> Body {
    let mut body = Body::from(statements);
    resolve(&mut body, Names::default(), &HashSet::new());
    body
}

fn resolve(body: &mut Body, mut names: Names, outer: &HashSet<Box<str>>) {
    names.statements(&body.statements);
    let unset =
        names.references.iter().filter(|(name, how)| **how == Reference::Unset && !outer.contains(*name));
    body.unset = unset.map(|(name, _)| name.clone()).collect();
    body.unset.sort();
    let known = outer.iter().chain(names.references.keys()).cloned().collect();
    inner(&mut body.statements, &known);
}

/// Resolves the scopes inside of a scope that refers to these names.
fn inner(statements: &mut [Stmt], known: &HashSet<Box<str>>) {
    for stmt in statements {
        match &mut stmt.kind {
            StmtKind::If(conditional) => {
                for (_, body) in &mut conditional.branches {
                    inner(body, known);
                }
                inner(&mut conditional.otherwise, known);
            }
            StmtKind::For(each) => {
                let mut names = Names::default();
                names.parameter("loop");
                each.target.names().into_iter().for_each(|name| names.parameter(name));
                resolve(&mut each.body, names, known);
                resolve(&mut each.otherwise, Names::default(), known);
            }
            StmtKind::With(values, body) => {
                let mut names = Names::default();
                values.iter().for_each(|(target, _)| names.target(target));
                // They are set when the block begins.
                names.references.values_mut().for_each(|how| *how = Reference::Parameter);
                resolve(body, names, known);
            }
            StmtKind::SetBlock(_, _, body) | StmtKind::Filter(_, body) | StmtKind::Scope(body) => {
                resolve(body, Names::default(), known);
            }
            StmtKind::Macro(function) | StmtKind::Call(function, _) => {
                let Macro { parameters, defaults, body, .. } = &mut **function;
                let mut names = Names::default();
                let special = ["caller", "varargs", "kwargs"].into_iter();
                special.chain(parameters.iter().map(|name| &**name)).for_each(|name| names.parameter(name));
                defaults.iter().for_each(|default| names.expr(default));
                resolve(body, names, known);
            }
            _ => {}
        }
    }
}

impl Names {
    fn parameter(&mut self, name: &str) {
        self.stored.insert(name.into());
        self.references.insert(name.into(), Reference::Parameter);
    }

    fn load(&mut self, name: &str) {
        self.references.entry(name.into()).or_insert(Reference::Outer);
    }

    fn store(&mut self, name: &str) {
        self.stored.insert(name.into());
        self.references.entry(name.into()).or_insert(Reference::Unset);
    }

    fn target(&mut self, target: &Target) {
        match target {
            Target::Name(name) => self.store(name),
            Target::Tuple(items) => items.iter().for_each(|item| self.target(item)),
            Target::Attribute(name, _) => self.load(name),
        }
    }

    fn statements(&mut self, statements: &[Stmt]) {
        for stmt in statements {
            match &stmt.kind {
                StmtKind::Text(_)
                | StmtKind::OtherTemplate(_)
                | StmtKind::Break
                | StmtKind::Continue
                | StmtKind::Scope(_) => {}
                StmtKind::Print(values) => values.iter().for_each(|value| self.expr(value)),
                StmtKind::If(conditional) => self.branches(&conditional.branches, &conditional.otherwise),
                StmtKind::For(each) => self.expr(&each.items),
                StmtKind::With(values, _) => values.iter().for_each(|(_, value)| self.expr(value)),
                StmtKind::Set(target, value) => {
                    self.expr(value);
                    self.target(target);
                }
                StmtKind::SetBlock(target, ..) => self.target(target),
                StmtKind::Filter(filter, _) => self.expr(filter),
                StmtKind::Macro(function) => self.store(function.name.as_deref().unwrap_or_default()),
                StmtKind::Call(_, call) => self.expr(call),
            }
        }
    }

    /// What a branch sets shows its outer value as long as it is not set.
    fn branches(&mut self, branches: &[(Expr, Vec<Stmt>)], otherwise: &[Stmt]) {
        let Some(((condition, first), others)) = branches.split_first() else { return };
        self.expr(condition);
        let mut alternatives = [self.clone(), self.clone(), self.clone()];
        alternatives[0].statements(first);
        for other in others {
            alternatives[1].branches(std::slice::from_ref(other), &[]);
        }
        alternatives[2].statements(otherwise);
        self.merge(alternatives);
    }

    fn merge(&mut self, alternatives: [Self; 3]) {
        let before = self.stored.clone();
        for names in alternatives {
            self.references.extend(names.references);
            self.stored.extend(names.stored);
        }
        for name in self.stored.difference(&before) {
            self.references.insert(name.clone(), Reference::Outer);
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Literal(_) => {}
            ExprKind::Name(name) => self.load(name),
            ExprKind::List(items) | ExprKind::Tuple(items) | ExprKind::Concat(items) => {
                items.iter().for_each(|item| self.expr(item));
            }
            ExprKind::Dict(items) => items.iter().for_each(|(key, value)| {
                self.expr(key);
                self.expr(value);
            }),
            ExprKind::Not(operand) | ExprKind::Sign { operand, .. } | ExprKind::Attribute(operand, _) => {
                self.expr(operand);
            }
            ExprKind::Binary(_, a, b) | ExprKind::And(a, b) | ExprKind::Or(a, b) | ExprKind::Item(a, b) => {
                self.expr(a);
                self.expr(b);
            }
            ExprKind::Compare(first, rest) => {
                self.expr(first);
                rest.iter().for_each(|(_, value)| self.expr(value));
            }
            ExprKind::Conditional { condition, then, otherwise } => {
                self.expr(condition);
                self.expr(then);
                otherwise.iter().for_each(|value| self.expr(value));
            }
            ExprKind::Slice(value, bounds) => {
                self.expr(value);
                bounds.iter().flatten().for_each(|bound| self.expr(bound));
            }
            ExprKind::Call(value, arguments) | ExprKind::Test(value, _, arguments) => {
                self.expr(value);
                self.arguments(arguments);
            }
            ExprKind::Filter(value, _, arguments) => {
                value.iter().for_each(|value| self.expr(value));
                self.arguments(arguments);
            }
        }
    }

    fn arguments(&mut self, arguments: &Arguments) {
        let Arguments { positional, named, rest, rest_named } = arguments;
        let named = named.iter().map(|(_, value)| value);
        positional.iter().chain(named).chain(rest).chain(rest_named).for_each(|value| self.expr(value));
    }
}
