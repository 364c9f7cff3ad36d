//! Expressions.

use super::Writer;
use super::ast::{Arg, Expr, Kind, Step};
use crate::prompt::pycompat::is_of_a_type;

impl Writer<'_> {
    pub(super) fn expression(&mut self, e: &Expr) {
        self.go_to(e.line);
        match &e.kind {
            Kind::Name(name) => self.text(name),
            Kind::Bool(value) => self.text(if *value { "true" } else { "false" }),
            Kind::None => self.text("none"),
            Kind::Int(n) => self.text(&n.to_string()),
            // Numbers that are too large for a float are written as such.
            Kind::Float(x) => self.text(&if x.is_infinite() { "1e999".to_owned() } else { format!("{x:?}") }),
            Kind::Text(text) => self.string(text),
            Kind::List(items) => self.wrapped("__made([", items, "])"),
            Kind::Tuple(items) => {
                self.wrapped("__made((", items, if items.len() == 1 { ",))" } else { "))" })
            }
            Kind::Dict(items) => self.dict(items),
            Kind::Unary(operator, value) => self.wrapped(
                match *operator {
                    "not" => "(not ",
                    "-" => "__neg(",
                    _ => "__pos(",
                },
                [&**value],
                ")",
            ),
            Kind::Chain(first, rest) => self.chained(first, rest),
            Kind::Compare(first, rest) => self.comparisons(first, rest),
            Kind::Cond(parts, otherwise) => {
                let [value, test] = &**parts;
                self.wrapped("(", [value], " if ");
                self.expression(test);
                if let Some(otherwise) = otherwise {
                    self.wrapped(" else ", [&**otherwise], "");
                }
                self.text(")");
            }
            Kind::Postfix(value, steps) => self.postfix(value, steps),
        }
    }

    /// The expressions between these texts, with commas between them.
    fn wrapped<'e, 's: 'e>(
        &mut self,
        before: &str,
        expressions: impl IntoIterator<Item = &'e Expr<'s>>,
        after: &str,
    ) {
        self.text(before);
        for (index, expression) in expressions.into_iter().enumerate() {
            self.text(if index > 0 { ", " } else { "" });
            self.expression(expression);
        }
        self.text(after);
    }

    /// Operators as functions. Long sums are one call, as calls within calls would soon be nested too deeply.
    fn chained(&mut self, first: &Expr, rest: &[(&'static str, Expr)]) {
        if let Some((word @ ("and" | "or"), _)) = rest.first() {
            self.wrapped("(", [first], "");
            for (_, term) in rest {
                self.wrapped(&format!(" {word} "), [term], "");
            }
            return self.text(")");
        }
        let is_sum = |(operator, _): &(&str, Expr)| matches!(*operator, "+" | "~");
        let runs: Vec<_> = rest.chunk_by(|a, b| a.0 == b.0 && is_sum(a)).collect();
        for run in runs.iter().rev() {
            self.text(function_of(run[0].0));
            self.text("(");
        }
        self.expression(first);
        for run in runs {
            run.iter().for_each(|(_, term)| self.wrapped(", ", [term], ""));
            self.text(")");
        }
    }

    fn comparisons(&mut self, first: &Expr, rest: &[(&'static str, Expr)]) {
        let [(operator, second)] = rest else {
            self.wrapped("__compare(", [first], "");
            for (operator, term) in rest {
                self.wrapped(&format!(", \"{operator}\", "), [term], "");
            }
            return self.text(")");
        };
        match *operator {
            "==" | "!=" => {
                self.wrapped("(", [first], &format!(" {operator} "));
                self.wrapped("", [second], ")");
            }
            "not in" => self.wrapped("(not __in(", [first, second], "))"),
            _ => {
                self.text(function_of(operator));
                self.wrapped("(", [first, second], ")");
            }
        }
    }

    /// What is done to a value in turn: functions around it are opened first.
    fn postfix(&mut self, value: &Expr, steps: &[Step]) {
        let is_called = |index: usize| matches!(steps.get(index + 1), Some(Step::Call(_)));
        for (index, step) in steps.iter().enumerate().rev() {
            self.text(match step {
                Step::Attr(name) if is_of_a_type(name) && !is_called(index) => "__attr(",
                Step::Item(key) if !matches!(key.kind, Kind::Text(_)) => "__item(",
                Step::Slice(_) => "__slice(",
                Step::Filter(..) => "(",
                Step::Test(_, _, fails) => {
                    if *fails {
                        "(not ("
                    } else {
                        "("
                    }
                }
                Step::Attr(_) | Step::Item(_) | Step::Call(_) => "",
            });
        }
        match value.kind {
            Kind::Name(_) => self.expression(value),
            _ => self.wrapped("(", [value], ")"),
        }
        for (index, step) in steps.iter().enumerate() {
            self.step(step, is_called(index));
        }
    }

    fn step(&mut self, step: &Step, is_called: bool) {
        match step {
            Step::Attr(name) if is_of_a_type(name) && !is_called => {
                self.text(&format!(", \"{name}\")"));
            }
            Step::Attr(name) => {
                self.text(".");
                self.text(name);
            }
            Step::Item(key) => match key.kind {
                Kind::Text(_) => self.wrapped("[", [key], "]"),
                _ => self.wrapped(", ", [key], ")"),
            },
            Step::Slice(bounds) => {
                for bound in bounds {
                    match bound {
                        Some(bound) => self.wrapped(", ", [bound], ""),
                        None => self.text(", none"),
                    }
                }
                self.text(")");
            }
            Step::Call(arguments) => {
                self.text("(");
                self.arguments(arguments);
                self.text(")");
            }
            Step::Filter(..) => {
                self.text("|");
                self.filter(step);
                self.text(")");
            }
            Step::Test(name, arguments, fails) => {
                self.text(" is ");
                self.text(name);
                if !arguments.is_empty() {
                    self.text("(");
                    self.arguments(arguments);
                    self.text(")");
                }
                self.text(if *fails { "))" } else { ")" });
            }
        }
    }

    /// Filters of what a block has printed.
    pub(super) fn chain(&mut self, filters: &[Step]) {
        for (index, filter) in filters.iter().enumerate() {
            self.text(if index > 0 { "|" } else { "" });
            self.filter(filter);
        }
    }

    /// The same behind a value.
    pub(super) fn filters(&mut self, filters: &[Step]) {
        for filter in filters {
            self.text("|");
            self.filter(filter);
        }
    }

    fn filter(&mut self, filter: &Step) {
        let Step::Filter(name, arguments) = filter else { return };
        self.text("__filter(");
        self.string(name);
        self.text(if arguments.is_empty() { "" } else { ", " });
        self.arguments(arguments);
        self.text(")");
    }

    fn arguments(&mut self, arguments: &[Arg]) {
        for (index, argument) in arguments.iter().enumerate() {
            self.text(if index > 0 { ", " } else { "" });
            let value = match argument {
                Arg::Positional(value) => value,
                // minijinja takes these for values.
                Arg::Named(name, value) if is_reserved(name) => {
                    self.wrapped(&format!("**{{\"{name}\": "), [value], "}");
                    continue;
                }
                Arg::Named(name, value) => {
                    self.text(name);
                    self.text("=");
                    value
                }
                Arg::Splat(value) => {
                    self.text("*");
                    value
                }
                Arg::NamedSplat(value) => {
                    self.text("**");
                    value
                }
            };
            self.expression(value);
        }
    }

    fn dict(&mut self, items: &[(Expr, Expr)]) {
        let is_plain = items.iter().all(|(key, _)| matches!(key.kind, Kind::Text(_)));
        self.text(if is_plain { "__made({" } else { "__dict(" });
        for (index, (key, value)) in items.iter().enumerate() {
            self.text(if index > 0 { ", " } else { "" });
            self.expression(key);
            self.text(if is_plain { ": " } else { ", " });
            self.expression(value);
        }
        self.text(if is_plain { "})" } else { ")" });
    }

    /// A text, spelled as JSON spells it, which Jinja reads too.
    pub(super) fn string(&mut self, text: &str) {
        let spelled = serde_json::Value::from(text).to_string();
        self.text(&spelled);
    }
}

fn is_reserved(name: &str) -> bool {
    matches!(name, "true" | "True" | "false" | "False" | "none" | "None" | "not")
}

fn function_of(operator: &str) -> &'static str {
    match operator {
        "<" => "__lt",
        "<=" => "__le",
        ">" => "__gt",
        ">=" => "__ge",
        "in" => "__in",
        "+" => "__add",
        "-" => "__sub",
        "*" => "__mul",
        "/" => "__div",
        "//" => "__floordiv",
        "%" => "__rem",
        "**" => "__pow",
        _ => "__concat",
    }
}
