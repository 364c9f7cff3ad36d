//! Expressions.

use minijinja::machinery::ast::{self, BinOpKind, CallArg, CompareOpKind, Expr, UnaryOpKind};
use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};

use super::{Done, Writer};

impl Writer {
    pub(super) fn expression(&mut self, expression: &Expr) -> Done {
        self.go_to(expression.span());
        match expression {
            Expr::Var(s) => {
                self.text(s.id);
                Ok(())
            }
            Expr::Const(s) => self.constant(s),
            Expr::Slice(s) => {
                let bounds = [&s.start, &s.stop, &s.step];
                self.text("__slice(");
                self.expression(&s.expr)?;
                for bound in bounds {
                    self.text(", ");
                    match bound {
                        Some(bound) => self.expression(bound)?,
                        None => self.text("none"),
                    }
                }
                self.text(")");
                Ok(())
            }
            Expr::UnaryOp(s) => match s.op {
                UnaryOpKind::Not => self.wrapped("(not ", &[&s.expr], ")"),
                UnaryOpKind::Neg => self.wrapped("__neg(", &[&s.expr], ")"),
            },
            Expr::BinOp(s) => self.operation(s),
            Expr::Compare(s) => self.comparisons(s),
            Expr::IfExpr(s) => {
                self.wrapped("(", &[&s.true_expr], " if ")?;
                self.expression(&s.test_expr)?;
                if let Some(otherwise) = &s.false_expr {
                    self.wrapped(" else ", &[otherwise], "")?;
                }
                self.text(")");
                Ok(())
            }
            Expr::Filter(s) => self.filter(s),
            Expr::Test(s) => {
                self.wrapped("(", &[&s.expr], " is ")?;
                self.text(s.name);
                if !s.args.is_empty() {
                    self.text("(");
                    self.arguments(&s.args)?;
                    self.text(")");
                }
                self.text(")");
                Ok(())
            }
            Expr::GetAttr(s) => {
                self.owner(&s.expr)?;
                self.text(".");
                self.text(s.name);
                Ok(())
            }
            Expr::GetItem(s) => self.item(s),
            Expr::Call(s) => self.call(s),
            Expr::List(s) => self.list(s.items.iter()),
            Expr::Tuple(s) => {
                let items: Vec<&Expr> = s.items.iter().collect();
                self.wrapped("(", &items, if items.len() == 1 { ",)" } else { ")" })
            }
            Expr::Map(s) => self.map(s),
        }
    }

    /// The expressions between these texts, with commas between them.
    fn wrapped(&mut self, before: &str, expressions: &[&Expr], after: &str) -> Done {
        self.text(before);
        for (index, expression) in expressions.iter().enumerate() {
            self.text(if index > 0 { ", " } else { "" });
            self.expression(expression)?;
        }
        self.text(after);
        Ok(())
    }

    fn operation(&mut self, s: &ast::BinOp) -> Done {
        let (left, right) = (&s.left, &s.right);
        let infix = match s.op {
            BinOpKind::ScAnd => " and ",
            BinOpKind::ScOr => " or ",
            BinOpKind::Eq => " == ",
            BinOpKind::Ne => " != ",
            _ => return self.function(s),
        };
        self.wrapped("(", &[left], infix)?;
        self.wrapped("", &[right], ")")
    }

    /// An operator as a function. Long sums are one call, as calls within calls would soon be nested too deeply.
    fn function(&mut self, s: &ast::BinOp) -> Done {
        let name = match s.op {
            BinOpKind::Lt => "__lt(",
            BinOpKind::Lte => "__le(",
            BinOpKind::Gt => "__gt(",
            BinOpKind::Gte => "__ge(",
            BinOpKind::In => "__in(",
            BinOpKind::Add => "__add(",
            BinOpKind::Sub => "__sub(",
            BinOpKind::Mul => "__mul(",
            BinOpKind::Div => "__div(",
            BinOpKind::FloorDiv => "__floordiv(",
            BinOpKind::Rem => "__rem(",
            BinOpKind::Pow => "__pow(",
            _ => "__concat(",
        };
        let mut terms = vec![&s.right];
        let mut left = &s.left;
        if matches!(s.op, BinOpKind::Add | BinOpKind::Concat) {
            while let Expr::BinOp(inner) = left
                && std::mem::discriminant(&inner.op) == std::mem::discriminant(&s.op)
            {
                terms.push(&inner.right);
                left = &inner.left;
            }
        }
        terms.push(left);
        terms.reverse();
        self.wrapped(name, &terms, ")")
    }

    /// `a < b < c` is `a < b and b < c`.
    fn comparisons(&mut self, s: &ast::Compare) -> Done {
        let mut left = &s.expr;
        self.text("(");
        for (index, comparison) in s.ops.iter().enumerate() {
            let right = &comparison.expr;
            self.text(if index > 0 { " and " } else { "" });
            let (name, after) = match comparison.op {
                CompareOpKind::Eq | CompareOpKind::Ne => {
                    let is_equal = matches!(comparison.op, CompareOpKind::Eq);
                    self.wrapped("(", &[left], if is_equal { " == " } else { " != " })?;
                    self.wrapped("", &[right], ")")?;
                    left = right;
                    continue;
                }
                CompareOpKind::Lt => ("__lt(", ")"),
                CompareOpKind::Lte => ("__le(", ")"),
                CompareOpKind::Gt => ("__gt(", ")"),
                CompareOpKind::Gte => ("__ge(", ")"),
                CompareOpKind::In => ("__in(", ")"),
                CompareOpKind::NotIn => ("(not __in(", "))"),
            };
            self.wrapped(name, &[left, right], after)?;
            left = right;
        }
        self.text(")");
        Ok(())
    }

    /// A filter of a value, or within a chain that begins with what a block has printed.
    fn filter(&mut self, s: &ast::Filter) -> Done {
        let is_of_block = begins_with_a_block(s);
        if let Some(value) = &s.expr {
            self.wrapped(if is_of_block { "" } else { "(" }, &[value], "|")?;
        }
        self.text("__filter(");
        self.string(s.name);
        if !s.args.is_empty() {
            self.text(", ");
            self.arguments(&s.args)?;
        }
        self.text(if is_of_block { ")" } else { "))" });
        Ok(())
    }

    fn item(&mut self, s: &ast::GetItem) -> Done {
        if !matches!(&s.subscript_expr, Expr::Const(key) if key.value.kind() == ValueKind::String) {
            return self.wrapped("__item(", &[&s.expr, &s.subscript_expr], ")");
        }
        self.owner(&s.expr)?;
        self.wrapped("[", &[&s.subscript_expr], "]")
    }

    pub(super) fn call(&mut self, s: &ast::Call) -> Done {
        self.owner(&s.expr)?;
        self.text("(");
        self.arguments(&s.args)?;
        self.text(")");
        Ok(())
    }

    fn arguments(&mut self, arguments: &[CallArg]) -> Done {
        for (index, argument) in arguments.iter().enumerate() {
            self.text(if index > 0 { ", " } else { "" });
            let value = match argument {
                CallArg::Pos(value) => value,
                CallArg::Kwarg(name, value) => {
                    self.text(name);
                    self.text("=");
                    value
                }
                CallArg::PosSplat(value) => {
                    self.text("*");
                    value
                }
                CallArg::KwargSplat(value) => {
                    self.text("**");
                    value
                }
            };
            self.expression(value)?;
        }
        Ok(())
    }

    /// What has an attribute, an item or arguments behind it.
    fn owner(&mut self, expression: &Expr) -> Done {
        match expression {
            Expr::Var(_) | Expr::GetAttr(_) | Expr::GetItem(_) | Expr::Call(_) => self.expression(expression),
            _ => self.wrapped("(", &[expression], ")"),
        }
    }

    fn list<'a, 'b: 'a>(&mut self, items: impl Iterator<Item = &'a Expr<'b>>) -> Done {
        let items: Vec<&Expr> = items.collect();
        self.wrapped("__made([", &items, "])")
    }

    fn map(&mut self, s: &ast::Map) -> Done {
        let is_name = |key: &Expr| matches!(key, Expr::Const(s) if s.value.kind() == ValueKind::String);
        let is_plain = s.keys.iter().all(is_name);
        self.text(if is_plain { "__made({" } else { "__dict(" });
        for (index, (key, value)) in s.keys.iter().zip(&s.values).enumerate() {
            self.text(if index > 0 { ", " } else { "" });
            self.expression(key)?;
            self.text(if is_plain { ": " } else { ", " });
            self.expression(value)?;
        }
        self.text(if is_plain { "})" } else { ")" });
        Ok(())
    }

    pub(super) fn constant(&mut self, s: &ast::Const) -> Done {
        let text = match s.value.kind() {
            ValueKind::String => {
                self.string(s.value.as_str().unwrap_or_default());
                return Ok(());
            }
            ValueKind::None => "none".to_owned(),
            ValueKind::Bool => s.value.is_true().to_string(),
            ValueKind::Number if s.value.is_integer() => s.value.to_string(),
            ValueKind::Number => float(&s.value)?,
            _ => return Err(Error::new(ErrorKind::SyntaxError, "an unknown kind of constant")),
        };
        self.text(&text);
        Ok(())
    }

    /// A text, spelled as JSON spells it, which Jinja reads too.
    pub(super) fn string(&mut self, text: &str) {
        let spelled = serde_json::Value::from(text).to_string();
        self.text(&spelled);
    }
}

/// A number that is read again as the same one.
fn float(value: &Value) -> Result<String, Error> {
    let x = f64::try_from(value.clone())?;
    // Numbers that are too large for a float are written as such.
    Ok(if x.is_infinite() { "1e999".to_owned() } else { format!("{x:?}") })
}

fn begins_with_a_block(s: &ast::Filter) -> bool {
    match &s.expr {
        None => true,
        Some(Expr::Filter(inner)) => begins_with_a_block(inner),
        Some(_) => false,
    }
}
