//! In which form a template takes the content of a message: one string, or a list of typed parts.
//!
//! Published templates differ. Multimodal ones take both, text-only ones mostly take strings, a few take only lists,
//! some take lists in user messages alone. Each template is tried once with a needle in each form, and what it
//! writes tells.

use std::cell::Cell;

use serde_json::{Map, Value, json};

use super::json_dumps;
use super::message::{Message, ToolCall};
use super::template::Template;
use crate::media::MediaKind;

/// Stands for a message's text in the trials; a word no template writes by itself.
const NEEDLE: &str = "needle4f1c";

/// A name that no template knows: one that writes it prints whatever it is given.
const KEY: &str = "key7b2e";

/// Roles for which lists are tried; other roles count as users.
const ROLES: [&str; 4] = ["user", "assistant", "system", "tool"];

/// What the trials of one template showed.
#[derive(Debug, PartialEq)]
pub(super) struct Forms {
    /// Whether a string is written as it is.
    strings: bool,
    /// The roles whose content may be a list of parts.
    lists: Vec<&'static str>,
    /// The kinds whose parts go through without an error.
    media: Vec<MediaKind>,
    /// Whether a tool's message may hold an object, which is written by the template's own rules.
    objects: bool,
}

impl Forms {
    pub fn of(template: &Template, variables: &Map<String, Value>) -> Self {
        let trials = Trials { template, variables, looped: Cell::new(false) };
        let trial = |role: &str, content: Value| trials.run(role, content);
        let text = json!({"type": "text", "text": NEEDLE, KEY: KEY});
        let shows = |out: &Option<String>| out.as_ref().is_some_and(|out| out.contains(NEEDLE));
        // One that prints the parts themselves shows all that is in them.
        let takes = |role: &str, parts: Value| {
            let out = trial(role, parts);
            shows(&out) && !out.is_some_and(|out| out.contains(KEY))
        };
        let string = trial("user", json!(NEEDLE));
        let lists: Vec<&str> = ROLES.into_iter().filter(|role| takes(role, json!([text]))).collect();
        let takes_kind = |kind: MediaKind| {
            let mut medium = media_part(kind);
            medium[KEY] = json!(KEY);
            lists.contains(&"user") && takes("user", json!([medium, text]))
        };
        let media = MediaKind::ALL.into_iter().filter(|kind| takes_kind(*kind)).collect();
        let objects = trials.takes_objects();
        Self { strings: shows(&string), lists, media, objects }
    }

    fn takes_lists(&self, message: &Message) -> bool {
        let role = match message.role.as_str() {
            _ if message.is_model() => "assistant",
            "developer" => "system",
            role => role,
        };
        let known = ROLES.iter().find(|r| **r == role).unwrap_or(&"user");
        self.lists.contains(known)
    }

    /// Whether parts of this kind may be shown to the template.
    pub fn takes_media(&self, kind: MediaKind) -> bool {
        self.media.contains(&kind)
    }

    /// The content of a message whose parts have been chosen: a string where it is text alone and a string will do,
    /// a list of parts where the template takes one, else the texts one after the other.
    pub fn content(&self, message: &Message, parts: &[Content]) -> Value {
        let lists = self.takes_lists(message);
        match parts {
            [Content::Json(value)] if self.objects && value.is_object() => value.clone(),
            [Content::Json(value)] if self.strings || !lists => json!(text_of(value)),
            [Content::Text(text)] if self.strings || !lists => json!(text),
            [] if self.strings || !lists => json!(""),
            _ if lists => parts.iter().map(Content::part).collect(),
            _ => {
                let texts = parts.iter().filter_map(|part| match part {
                    Content::Text(text) => Some(text.clone()),
                    Content::Json(value) => Some(text_of(value)),
                    Content::Media(_) => None,
                });
                Value::String(texts.collect())
            }
        }
    }
}

/// A part as the template gets it.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Text(String),
    Media(MediaKind),
    Json(Value),
}

/// A message as the template gets it, before its parts are put into the form that the template takes.
pub(super) struct Shown {
    pub parts: Vec<Content>,
    pub reasoning: Option<String>,
    pub calls: Vec<ToolCall>,
}

impl Content {
    fn part(&self) -> Value {
        match self {
            Content::Text(text) => json!({"type": "text", "text": text}),
            Content::Json(value) => json!({"type": "text", "text": text_of(value)}),
            Content::Media(kind) => media_part(*kind),
        }
    }
}

/// A value where only text will do: a string as it is, anything else as JSON.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| json_dumps::dumps_json(value), str::to_owned)
}

fn media_part(kind: MediaKind) -> Value {
    json!({"type": kind.name()})
}

struct Trials<'a> {
    template: &'a Template,
    variables: &'a Map<String, Value>,
    /// A template that loops costs a second each time, so the first time is the last.
    looped: Cell<bool>,
}

impl Trials<'_> {
    /// What the template writes for a short conversation that holds `content` in a message of `role`.
    fn run(&self, role: &str, content: Value) -> Option<String> {
        let message = json!({"role": role, "content": content});
        let user = json!({"role": "user", "content": "x"});
        self.render(match role {
            "user" => json!([message]),
            "system" => json!([message, user]),
            _ => json!([user, message]),
        })
    }

    /// Whether the template writes an object that a tool returned, and not Python's or JSON's form of it as a string.
    fn takes_objects(&self) -> bool {
        let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": {}}});
        let said = self.render(json!([
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "name": "f", "content": {KEY: NEEDLE}},
        ]));
        let quoted = |said: &str, quote: char| said.contains(&format!("{quote}{KEY}{quote}"));
        said.is_some_and(|said| {
            let whole = said.contains(NEEDLE) && said.contains(KEY);
            whole && !quoted(&said, '\'') && !said.contains("\\\"")
        })
    }

    /// What the template writes for a conversation.
    fn render(&self, messages: Value) -> Option<String> {
        if self.looped.get() {
            return None;
        }
        let mut variables = self.variables.clone();
        variables.insert("messages".into(), messages);
        variables.insert("add_generation_prompt".into(), json!(true));
        let rendered = self.template.render(&variables);
        self.looped.set(rendered.as_ref().is_err_and(Template::is_looping));
        rendered.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::template_source::Source;
    use super::*;

    const BOTH: &str = "{% for m in messages %}{{ m.role }}:{% if m.content is string %}{{ m.content }}{% else %}\
        {% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}{% elif p.type == 'image' %}<i>{% endif %}\
        {% endfor %}{% endif %};{% endfor %}";
    const STRINGS: &str = "{% for m in messages %}{{ m.role + ':' + m.content + ';' }}{% endfor %}";
    const PRINTED: &str = "{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}";
    const LISTS: &str = "{% for m in messages %}{% for p in m.content %}{% if p is mapping %}{{ p.text }}{% endif %}\
        {% endfor %}{% endfor %}";
    const REFUSES: &str = "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}\
        {% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}{% else %}{{ raise_exception('no') }}{% endif %}\
        {% endfor %}{% endif %}{% endfor %}";

    fn forms(text: &str) -> Forms {
        let template = Template::compile(Source { file: "t".into(), text: text.into() }).ok().unwrap();
        Forms::of(&template, &Map::new())
    }

    #[test]
    fn forms_are_found_by_trying() {
        let both = forms(BOTH);
        assert!(both.strings && both.media == MediaKind::ALL && both.lists == ROLES);
        for text in [STRINGS, PRINTED] {
            assert_eq!(forms(text), Forms { strings: true, lists: vec![], media: vec![], objects: false });
        }
        let lists = forms(LISTS);
        assert!(!lists.strings && lists.lists == ROLES);
        let refuses = forms(REFUSES);
        assert!(refuses.strings && refuses.lists == ROLES && refuses.media.is_empty());
    }

    /// One message with this in the place of its content, after a role and a colon.
    fn around(content: &str) -> String {
        format!("{{% for m in messages %}}{{{{ m.role }}}}:{content};{{% endfor %}}")
    }

    /// Templates in the structure of published ones, and what they take.
    #[test]
    fn the_forms_of_each_family_are_found() {
        use MediaKind::{Audio, Image, Video};
        let all: &[MediaKind] = &[Image, Audio, Video];
        let cases: [(&str, &str, bool, bool, &[MediaKind]); 13] = [
            ("text alone", "{{ m.content | trim }}", true, false, &[]),
            ("text and more text", "{{ '[' + m.content + ']' }}", true, false, &[]),
            (
                "images before texts",
                "{% for c in m.content | selectattr('type', 'equalto', 'image') %}<i>{% endfor %}\
                 {% for c in m.content | selectattr('type', 'equalto', 'text') %}{{ c.text }}{% endfor %}",
                false,
                true,
                all,
            ),
            (
                "a look at the first part",
                "{{ ':' if m.content[0]['type'] == 'image' else ': ' }}{% for c in m.content %}\
                 {% if c['type'] == 'text' %}{{ c['text'] }}{% elif c['type'] == 'image' %}<i>{% endif %}{% endfor %}",
                false,
                true,
                all,
            ),
            (
                "refusal of other kinds",
                "{% if m.content is string %}{{ m.content }}{% else %}{% for c in m.content %}{% if c.type == 'text' %}\
                 {{ c.text }}{% elif c.type in ['image', 'image_url'] %}[IMG]{% else %}{{ raise_exception('no') }}\
                 {% endif %}{% endfor %}{% endif %}",
                true,
                true,
                &[Image],
            ),
            (
                "parts in a macro",
                "{% macro shown(content) %}{% if content is string %}{{ content }}{% elif content is iterable and \
                 content is not mapping %}{% for c in content %}{% if c is mapping and c.type == 'text' %}{{ c.text }}\
                 {% elif c is mapping and (c.type == 'image' or 'image' in c) %}<i>{% endif %}{% endfor %}{% endif %}\
                 {% endmacro %}{{ shown(m.content) }}",
                true,
                true,
                all,
            ),
            (
                "texts of the parts alone",
                "{% if m.content is string %}{{ m.content }}{% else %}{{ m.content | selectattr('type', 'equalto', \
                 'text') | map(attribute='text') | join }}{% endif %}",
                true,
                true,
                all,
            ),
            (
                "lists as JSON",
                "{{ m.content if m.content is string else m.content | tojson }}",
                true,
                false,
                &[],
            ),
            ("everything as JSON", "{{ m.content | tojson }}", true, false, &[]),
            (
                "other parts as JSON",
                "{% if m.content is string %}{{ m.content }}{% else %}{% for c in m.content %}{% if c.type == 'text' %}\
                 {{ c.text }}{% else %}{{ c | tojson }}{% endif %}{% endfor %}{% endif %}",
                true,
                true,
                &[],
            ),
            (
                "the keys in plain text",
                "{\"type\": \"text\", 'type': 'text'}{% if m.content is string %}{{ m.content }}{% else %}\
                 {% for c in m.content %}{% if c.type == 'text' %}{{ c.text }}{% else %}<{{ c.type }}>{% endif %}\
                 {% endfor %}{% endif %}",
                true,
                true,
                all,
            ),
            (
                "the type of each part",
                "{% for c in m.content %}{{ {'type': c.type} | tojson }}{{ c.text }}{% endfor %}",
                false,
                true,
                all,
            ),
            (
                "the last part alone",
                "{% if m.content is string %}{{ m.content }}{% else %}{{ m.content[-1].text }}{% endif %}",
                true,
                true,
                all,
            ),
        ];
        for (name, content, strings, lists, media) in cases {
            let found = forms(&around(content));
            assert_eq!((found.strings, !found.lists.is_empty()), (strings, lists), "{name}");
            assert_eq!(found.media.len(), media.len(), "{name}");
            assert!(media.iter().all(|kind| found.takes_media(*kind)), "{name}");
        }
    }

    #[test]
    fn a_role_may_have_a_form_of_its_own() {
        let text = "{% for m in messages %}{% if m.role == 'user' %}{% for c in m.content %}{{ c.text }}{% endfor %}\
            {% else %}{{ m.content + '' }}{% endif %}{% endfor %}";
        let found = forms(text);
        assert_eq!(found.lists, ["user"]);
        let parts = [Content::Text("a".into()), Content::Text("b".into())];
        assert_eq!(found.content(&Message::text("assistant", ""), &parts), json!("ab"));
        assert!(found.content(&Message::text("user", ""), &parts).is_array());
    }

    #[test]
    fn an_object_that_a_tool_returned_is_an_object_only_where_the_template_writes_such() {
        const OBJECTS: &str = "{% for m in messages %}{% if m.content is mapping %}{% for k, v in m.content.items() %}\
            {{ k }}={{ v }};{% endfor %}{% else %}{{ m.content }}{% endif %}{% endfor %}";
        const DUMPED: &str = "{% for m in messages %}{{ m.content | tojson }}{% endfor %}";
        let tool = Message::new("tool", vec![]);
        let value = json!({"a": [1, "b"]});
        let content = |text| forms(text).content(&tool, &[Content::Json(value.clone())]);
        assert_eq!(content(OBJECTS), value);
        assert_eq!(content(DUMPED), value);
        for text in [STRINGS, PRINTED, BOTH] {
            assert_eq!(content(text), json!(r#"{"a": [1, "b"]}"#));
        }
        assert_eq!(forms(OBJECTS).content(&tool, &[Content::Json(json!("s"))]), json!("s"));
        assert_eq!(forms(OBJECTS).content(&tool, &[Content::Json(json!(4))]), json!("4"));
    }

    #[test]
    fn one_text_is_a_string_and_several_are_parts_where_the_template_takes_them() {
        let user = Message::text("user", "");
        let (a, b) = (Content::Text("a".into()), Content::Text("b".into()));
        let both = forms(BOTH);
        assert_eq!(both.content(&user, std::slice::from_ref(&a)), json!("a"));
        let list = json!([{"type": "text", "text": "a"}, {"type": "image"}]);
        assert_eq!(both.content(&user, &[a.clone(), Content::Media(MediaKind::Image)]), list);
        let strings = forms(STRINGS);
        assert_eq!(strings.content(&user, &[a.clone(), b]), json!("ab"));
        assert_eq!(forms(LISTS).content(&user, &[a]), json!([{"type": "text", "text": "a"}]));
    }
}
