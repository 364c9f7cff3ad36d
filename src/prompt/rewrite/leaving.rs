//! What statements do to what is around them.

use super::ast::{Expr, Kind, Step, Stmt, StmtKind};

/// Whether a statement may leave the loop that it stands in.
pub(super) fn leaves(statement: &Stmt) -> bool {
    match &statement.kind {
        StmtKind::Break | StmtKind::Continue => true,
        StmtKind::If(branches, otherwise) => {
            branches.iter().any(|(_, body)| body.iter().any(leaves)) || otherwise.iter().any(leaves)
        }
        StmtKind::With(_, body)
        | StmtKind::SetBlock(_, _, body)
        | StmtKind::Filter(_, body)
        | StmtKind::AutoEscape(_, body) => body.iter().any(leaves),
        StmtKind::For(s) => s.otherwise.iter().any(leaves),
        _ => false,
    }
}

/// Whether statements give a name a value, beside what has names of its own.
pub(super) fn sets(body: &[Stmt]) -> bool {
    body.iter().any(|statement| match &statement.kind {
        StmtKind::Set(..) | StmtKind::SetBlock(..) | StmtKind::Macro(..) => true,
        StmtKind::If(branches, otherwise) => branches.iter().any(|(_, body)| sets(body)) || sets(otherwise),
        _ => false,
    })
}

/// Whether a name stands anywhere in the statements.
pub(super) fn mentions(body: &[Stmt], name: &str) -> bool {
    body.iter().any(|statement| match &statement.kind {
        StmtKind::Data(_) | StmtKind::Break | StmtKind::Continue => false,
        StmtKind::Print(e) | StmtKind::Set(_, e) | StmtKind::Extends(e) | StmtKind::Include(e, _) => {
            names(e, name)
        }
        StmtKind::For(s) => {
            names(&s.items, name)
                || s.filter.as_ref().is_some_and(|e| names(e, name))
                || mentions(&s.body, name)
                || mentions(&s.otherwise, name)
        }
        StmtKind::If(branches, otherwise) => {
            branches.iter().any(|(e, body)| names(e, name) || mentions(body, name))
                || mentions(otherwise, name)
        }
        StmtKind::With(values, body) => values.iter().any(|(_, e)| names(e, name)) || mentions(body, name),
        StmtKind::SetBlock(_, steps, body) | StmtKind::Filter(steps, body) => {
            steps.iter().any(|step| step_names(step, name)) || mentions(body, name)
        }
        StmtKind::AutoEscape(e, body) => names(e, name) || mentions(body, name),
        StmtKind::Block(_, _, body) => mentions(body, name),
        StmtKind::Macro(_, signature, body) => {
            signature.defaults.iter().any(|e| names(e, name)) || mentions(body, name)
        }
        StmtKind::Call(e, signature, body) => {
            names(e, name) || signature.defaults.iter().any(|e| names(e, name)) || mentions(body, name)
        }
    })
}

fn names(e: &Expr, name: &str) -> bool {
    let any = |items: &[Expr]| items.iter().any(|e| names(e, name));
    match &e.kind {
        Kind::Name(found) => *found == name,
        Kind::Bool(_) | Kind::None | Kind::Int(_) | Kind::Float(_) | Kind::Text(_) => false,
        Kind::List(items) | Kind::Tuple(items) => any(items),
        Kind::Dict(items) => items.iter().any(|(key, value)| names(key, name) || names(value, name)),
        Kind::Unary(_, e) => names(e, name),
        Kind::Chain(first, rest) | Kind::Compare(first, rest) => {
            names(first, name) || rest.iter().any(|(_, e)| names(e, name))
        }
        Kind::Cond(parts, otherwise) => any(&parts[..]) || otherwise.as_ref().is_some_and(|e| names(e, name)),
        Kind::Postfix(value, steps) => names(value, name) || steps.iter().any(|step| step_names(step, name)),
    }
}

fn step_names(step: &Step, name: &str) -> bool {
    match step {
        Step::Attr(_) => false,
        Step::Item(e) => names(e, name),
        Step::Slice(bounds) => bounds.iter().flatten().any(|e| names(e, name)),
        Step::Call(arguments) | Step::Filter(_, arguments) | Step::Test(_, arguments, _) => {
            arguments.iter().any(|argument| names(argument.value(), name))
        }
    }
}
