//! A family's calls as a grammar, in llguidance's variant of Lark, so that nothing but calls of the declared tools can be
//! written.

use serde_json::{Value, json};

use super::{Dialect, Mark, Marks, gemma4_grammar, hermes};
use crate::error::{Error, Result};

/// A tool that a prompt declares.
#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    /// The tool's.
    pub name: String,
    /// A JSON schema of the arguments.
    pub parameters: Value,
}

/// Which calls a grammar is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    /// The rest of one call, after the token that opens it.
    Opened,
    /// Exactly one call.
    One,
    /// At least one call.
    OneOrMore,
}

impl Declared {
    /// The functions of a prompt's tools: `{"type": "function", "function": {"name": …, "parameters": …}}`, or what is
    /// in `function` alone. Entries without a name are none.
    pub fn all(tools: &Value) -> Vec<Declared> {
        let tools = tools.as_array().map(Vec::as_slice).unwrap_or_default();
        let declared = |tool: &Value| {
            let function = tool.get("function").filter(|f| f.is_object()).unwrap_or(tool);
            let name = function.get("name")?.as_str()?.to_owned();
            let parameters = function.get("parameters").filter(|p| p.is_object()).cloned();
            Some(Declared { name, parameters: parameters.unwrap_or_else(|| json!({"type": "object"})) })
        };
        tools.iter().filter_map(declared).collect()
    }
}

impl Marks {
    /// A grammar of calls of these tools; `None` where the family, or its tokenizer, marks no calls. `UNSUPPORTED` names
    /// what cannot be followed of a tool's schema.
    pub fn call_grammar(&self, tools: &[Declared], calls: Calls) -> Result<Option<String>> {
        let (Some(begins), Some(ends)) = (self.id(Mark::CallBegins), self.id(Mark::CallEnds)) else {
            return Ok(None);
        };
        let start = match calls {
            Calls::Opened => "start: body".to_owned(),
            Calls::One => format!("start: <[{begins}]> body"),
            Calls::OneOrMore => {
                format!("start: call ({}call)*\ncall: <[{begins}]> body", self.dialect.between())
            }
        };
        let rules = match self.dialect {
            Dialect::Gemma4 => gemma4_grammar::grammar(tools, self.id(Mark::Quote).unwrap_or_default())?,
            Dialect::Hermes => hermes::grammar(tools),
            Dialect::Plain => return Ok(None),
        };
        let tools: Vec<String> = (0..tools.len()).map(|index| format!("tool_{index}")).collect();
        let edge = self.dialect.around();
        Ok(Some(format!("{start}\nbody: {edge}({}) {edge}<[{ends}]>\n{rules}", tools.join(" | "))))
    }
}

impl Dialect {
    /// What a template writes between two calls, and within the marks around one.
    fn between(self) -> &'static str {
        if self == Dialect::Hermes { "\"\\n\" " } else { "" }
    }

    fn around(self) -> &'static str {
        if self == Dialect::Hermes { "\"\\n\" " } else { "" }
    }
}

pub(super) fn unsupported(tool: &str, what: &str) -> Error {
    Error::unsupported(format!("the tool {tool} cannot be called by its schema: {what}")).with("tool", tool)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPELLINGS: [&str; 5] = ["<|tool_call>", "<tool_call|>", "<|\"|>", "<tool_call>", "</tool_call>"];

    fn grammar(dialect: Dialect, parameters: Value, calls: Calls) -> Result<Option<String>> {
        let marks =
            Marks::resolve(dialect, |s| SPELLINGS.iter().position(|known| *known == s).map(|id| id as u32));
        let tools = json!([{"type": "function", "function": {"name": "f", "parameters": parameters}}]);
        marks.call_grammar(&Declared::all(&tools), calls)
    }

    #[test]
    fn each_family_spells_its_own_calls() {
        let schema = json!({"type": "object", "properties": {"b": {"type": "string"}, "A": {"type": "integer"}}, "required": ["b"]});
        let gemma = grammar(Dialect::Gemma4, schema.clone(), Calls::One).unwrap().unwrap();
        assert!(gemma.starts_with("start: <[0]> body\nbody: (tool_0) <[1]>\n"), "{gemma}");
        assert!(gemma.contains("\"call:f\"") && gemma.contains("<[2]>"), "{gemma}");
        // In the order in which the template writes them: without regard to case.
        assert!(gemma.find("\"A:\"").unwrap() < gemma.find("\"b:\"").unwrap(), "{gemma}");
        let hermes = grammar(Dialect::Hermes, schema, Calls::OneOrMore).unwrap().unwrap();
        assert!(
            hermes.starts_with("start: call (\"\\n\" call)*\ncall: <[3]> body\nbody: \"\\n\" (tool_0)"),
            "{hermes}"
        );
        assert!(hermes.contains("%json {"), "{hermes}");
        assert_eq!(grammar(Dialect::Plain, json!({}), Calls::One).unwrap(), None);
    }

    #[test]
    fn what_cannot_be_followed_is_named() {
        for (schema, says) in [
            (json!({"type": "object", "properties": {"a": {"not": {"const": "x"}}}}), "not"),
            (
                json!({"type": "object", "properties": {"a": {"type": "array", "uniqueItems": true}}}),
                "uniqueItems",
            ),
            (json!({"type": "object", "properties": {"a": {"enum": [{"b:c": 1}]}}}), "b:c"),
            (json!({"type": "object", "allOf": [{"type": "string"}]}), "no type in common"),
            (
                json!({"type": "object", "properties": {"a": {"allOf": [{"$ref": "#/properties/a"}]}}}),
                "levels",
            ),
            (json!({"type": "object", "properties": {"a:b": {}}}), "a:b"),
            (json!({"type": "object", "properties": {"a": {"oneOf": []}}}), "oneOf"),
            (json!({"type": "object", "properties": {"a": {"$ref": "http://x"}}}), "http://x"),
            (json!({"type": "string"}), "object"),
        ] {
            let error = grammar(Dialect::Gemma4, schema, Calls::Opened).unwrap_err();
            assert!(error.message().contains(says), "{error:?}");
        }
    }
}
