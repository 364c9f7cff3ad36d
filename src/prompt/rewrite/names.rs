//! Which names are not defined until they are set (jinja2's `idtracking`).
//!
//! A name that a scope sets before it reads it is the scope's own from its beginning: what the conversation has under
//! that name is not seen there, not even in the blocks and loops within that come first.

use std::collections::HashSet;

use super::ast::{Expr, Kind, Step, Stmt, StmtKind, Target};
use super::leaving::mentions;

type Names<'s> = HashSet<&'s str>;

/// What a scope reads and sets itself, in the order in which it stands there.
#[derive(Clone, Default)]
pub(super) struct Scope<'s> {
    known: Names<'s>,
    set: Names<'s>,
    /// Those that have no value at the beginning.
    unset: Names<'s>,
}

impl<'s> Scope<'s> {
    /// The scope of these statements, with its parameters, within others.
    pub fn of(body: &[Stmt<'s>], parameters: &[&'s str], outer: &[Scope<'s>]) -> Self {
        let mut scope = Self::default();
        scope.known.extend(parameters);
        scope.statements(body, outer);
        scope
    }

    /// The names that something in the statements can read before it is set, sorted.
    pub fn read_too_early(&self, body: &[Stmt]) -> Vec<&'s str> {
        let is_early = |name: &&str| {
            let first = body.iter().position(|statement| match &statement.kind {
                StmtKind::Set(target, _) | StmtKind::SetBlock(target, ..) => names_of(target).contains(name),
                _ => false,
            });
            first.is_some_and(|first| mentions(&body[..=first], name))
        };
        let mut early: Vec<&str> = self.unset.iter().copied().filter(is_early).collect();
        early.sort_unstable();
        early
    }

    fn reads(&mut self, name: &'s str) {
        self.known.insert(name);
    }

    fn sets(&mut self, name: &'s str, outer: &[Scope<'s>]) {
        self.set.insert(name);
        let is_new = self.known.insert(name);
        if is_new && !outer.iter().any(|scope| scope.known.contains(name)) {
            self.unset.insert(name);
        }
    }

    fn statements(&mut self, body: &[Stmt<'s>], outer: &[Scope<'s>]) {
        for statement in body {
            match &statement.kind {
                StmtKind::Print(e)
                | StmtKind::Extends(e)
                | StmtKind::Include(e, _)
                | StmtKind::Call(e, ..) => {
                    self.expression(e);
                }
                StmtKind::For(s) => self.expression(&s.items),
                StmtKind::If(branches, otherwise) => self.branches(branches, otherwise, outer),
                StmtKind::With(values, _) => values.iter().for_each(|(_, e)| self.expression(e)),
                StmtKind::Set(target, e) => {
                    self.expression(e);
                    self.target(target, outer);
                }
                StmtKind::SetBlock(target, ..) => self.target(target, outer),
                StmtKind::Filter(filters, _) => filters.iter().for_each(|filter| self.step(filter)),
                StmtKind::Macro(name, ..) => self.sets(name, outer),
                StmtKind::Data(_)
                | StmtKind::AutoEscape(..)
                | StmtKind::Block(..)
                | StmtKind::Break
                | StmtKind::Continue => {}
            }
        }
    }

    /// What only some branches set is what it was before.
    fn branches(
        &mut self,
        branches: &[(Expr<'s>, Vec<Stmt<'s>>)],
        otherwise: &[Stmt<'s>],
        outer: &[Scope<'s>],
    ) {
        let mut all = Vec::new();
        for (index, (test, body)) in branches.iter().enumerate() {
            let mut branch = self.clone();
            if index == 0 {
                self.expression(test);
                branch = self.clone();
            } else {
                branch.expression(test);
            }
            branch.statements(body, outer);
            all.push(branch);
        }
        let mut branch = self.clone();
        branch.statements(otherwise, outer);
        all.push(branch);
        let before = self.set.clone();
        for branch in all {
            self.unset.extend(branch.unset.iter().filter(|name| before.contains(**name)));
            self.known.extend(branch.known);
            self.set.extend(branch.set);
        }
    }

    fn target(&mut self, target: &Target<'s>, outer: &[Scope<'s>]) {
        match target {
            Target::Name(name) => self.sets(name, outer),
            Target::Attr(name, _) => self.reads(name),
            Target::Several(targets) => targets.iter().for_each(|target| self.target(target, outer)),
        }
    }

    fn expression(&mut self, e: &Expr<'s>) {
        match &e.kind {
            Kind::Name(name) => self.reads(name),
            Kind::Bool(_) | Kind::None | Kind::Int(_) | Kind::Float(_) | Kind::Text(_) => {}
            Kind::List(items) | Kind::Tuple(items) => items.iter().for_each(|e| self.expression(e)),
            Kind::Dict(items) => items.iter().for_each(|(key, value)| {
                self.expression(key);
                self.expression(value);
            }),
            Kind::Unary(_, e) => self.expression(e),
            Kind::Chain(first, rest) | Kind::Compare(first, rest) => {
                self.expression(first);
                rest.iter().for_each(|(_, e)| self.expression(e));
            }
            Kind::Cond(parts, otherwise) => {
                parts.iter().chain(otherwise.as_deref()).for_each(|e| self.expression(e));
            }
            Kind::Postfix(value, steps) => {
                self.expression(value);
                steps.iter().for_each(|step| self.step(step));
            }
        }
    }

    fn step(&mut self, step: &Step<'s>) {
        match step {
            Step::Attr(_) => {}
            Step::Item(e) => self.expression(e),
            Step::Slice(bounds) => bounds.iter().flatten().for_each(|e| self.expression(e)),
            Step::Call(arguments) | Step::Filter(_, arguments) | Step::Test(_, arguments, _) => {
                arguments.iter().for_each(|argument| self.expression(argument.value()));
            }
        }
    }
}

/// The names that a target gives values.
pub(super) fn names_of<'s>(target: &Target<'s>) -> Vec<&'s str> {
    match target {
        Target::Name(name) => vec![name],
        Target::Attr(..) => Vec::new(),
        Target::Several(targets) => targets.iter().flat_map(names_of).collect(),
    }
}
