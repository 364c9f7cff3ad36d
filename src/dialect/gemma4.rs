//! `call:name{key:value,…}`: bare keys, texts between quote tokens, numbers, true, false, null, lists and objects.

use super::Bit;

/// Values nested deeper are no call.
const MAX_DEPTH: usize = 64;

pub(super) fn call(body: &[Bit]) -> Option<(String, String)> {
    let mut reader = Reader { body, at: 0, out: String::new() };
    reader.blanks();
    "call:".chars().all(|c| reader.takes(c)).then_some(())?;
    let name = reader.plain(|c| c != '{')?.trim().to_owned();
    if name.is_empty() {
        return None;
    }
    reader.object(0)?;
    reader.blanks();
    (reader.at == body.len()).then_some((name, reader.out))
}

struct Reader<'a> {
    body: &'a [Bit],
    at: usize,
    /// The arguments as JSON.
    out: String,
}

impl Reader<'_> {
    fn next(&self) -> Option<Bit> {
        self.body.get(self.at).copied()
    }

    fn takes(&mut self, c: char) -> bool {
        let taken = self.next() == Some(Bit::Char(c));
        self.at += usize::from(taken);
        taken
    }

    fn blanks(&mut self) {
        while matches!(self.next(), Some(Bit::Char(c)) if c.is_whitespace()) {
            self.at += 1;
        }
    }

    /// Characters as long as they fit; `None` where a quote stands or nothing follows.
    fn plain(&mut self, fits: impl Fn(char) -> bool) -> Option<String> {
        let mut text = String::new();
        loop {
            match self.next()? {
                Bit::Char(c) if fits(c) => text.push(c),
                Bit::Char(_) => return Some(text),
                Bit::Quote => return None,
            }
            self.at += 1;
        }
    }

    /// Items between brackets, with commas between them.
    fn items(
        &mut self,
        open: char,
        close: char,
        mut item: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        self.takes(open).then_some(())?;
        self.out.push(open);
        self.blanks();
        if !self.takes(close) {
            loop {
                item(self)?;
                self.blanks();
                if self.takes(close) {
                    break;
                }
                self.takes(',').then_some(())?;
                self.out.push(',');
                self.blanks();
            }
        }
        self.out.push(close);
        Some(())
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        self.items('{', '}', |reader| {
            let key = match reader.next()? {
                Bit::Quote => reader.quoted()?,
                Bit::Char(_) => {
                    reader.plain(|c| !matches!(c, ':' | ',' | '{' | '}' | '[' | ']'))?.trim().to_owned()
                }
            };
            if key.is_empty() {
                return None;
            }
            reader.write(&key);
            reader.blanks();
            reader.takes(':').then_some(())?;
            reader.out.push(':');
            reader.value(depth + 1)
        })
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.blanks();
        match self.next()? {
            Bit::Quote => {
                let text = self.quoted()?;
                self.write(&text);
                Some(())
            }
            Bit::Char('{') => self.object(depth),
            Bit::Char('[') => self.items('[', ']', |reader| reader.value(depth + 1)),
            Bit::Char(_) => {
                let bare = self.plain(|c| !matches!(c, ',' | '}' | ']'))?;
                self.out.push_str(match bare.trim() {
                    // What the template's language makes of nothing.
                    "None" => "null",
                    bare @ ("true" | "false" | "null") => bare,
                    number => serde_json::from_str::<serde_json::Number>(number).ok().map(|_| number)?,
                });
                Some(())
            }
        }
    }

    fn quoted(&mut self) -> Option<String> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let bit = self.next()?;
            self.at += 1;
            match bit {
                Bit::Char(c) => text.push(c),
                Bit::Quote => return Some(text),
            }
        }
    }

    fn write(&mut self, text: &str) {
        self.out.push_str(&serde_json::Value::from(text).to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `'` stands for the quote token.
    fn read(text: &str) -> Option<(String, String)> {
        let bit = |c| if c == '\'' { Bit::Quote } else { Bit::Char(c) };
        call(&text.chars().map(bit).collect::<Vec<_>>())
    }

    #[test]
    fn arguments_become_json() {
        for (text, json) in [
            ("call:f{}", "{}"),
            ("call:f{city:'Rome'}", r#"{"city":"Rome"}"#),
            ("call:f{a:1,b:-2.5e3,c:true,d:null,e:None}", r#"{"a":1,"b":-2.5e3,"c":true,"d":null,"e":null}"#),
            ("call:f{a:{'k{':'v}'},l:[1,'x',[],{}]}", r#"{"a":{"k{":"v}"},"l":[1,"x",[],{}]}"#),
            (
                "call:f{a:'say \"no\"\n',n:123456789012345678901234567890}",
                r#"{"a":"say \"no\"\n","n":123456789012345678901234567890}"#,
            ),
            (" call:f { a : 1 , b : [ ] } ", r#"{"a":1,"b":[]}"#),
        ] {
            assert_eq!(read(text), Some(("f".into(), json.into())), "{text}");
            assert!(serde_json::from_str::<serde_json::Value>(json).is_ok());
        }
    }

    #[test]
    fn anything_else_is_none() {
        for text in [
            "",
            "call:",
            "call:{}",
            "call:f",
            "call:f{",
            "call:f{a}",
            "call:f{a:}",
            "call:f{a:Rome}",
            "call:f{a:'x}",
            "call:f{a:1,}",
            "call:f{:1}",
            "call:f{}x",
            "f{}",
            "call:f{a:01}",
            "call:f{a:[1}",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        let deep = format!("call:f{{a:{}{}}}", "[".repeat(100), "]".repeat(100));
        assert_eq!(read(&deep), None);
    }
}
