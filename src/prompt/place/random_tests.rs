//! Random conversations through several templates: what the tags tell against what showing the template one message
//! at a time tells, which needs no tags but in the messages whose turn is sought.

use super::families_tests::{Gemma3, Qwen, qwen_vl_template};
use super::placer::Placer;
use super::skeleton::Skeleton;
use super::spots::{Spot, Spots};
use super::*;
use crate::error::Error;
use crate::prompt::content::Content;
use crate::prompt::rendering::Rendering;
use crate::prompt::testing::*;
use crate::prompt::{Formatter, Message, Part, Prompt};

/// Of each template.
const PROMPTS: usize = 100;

/// Cheap random numbers, the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % limit
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    fn part(&mut self, role: &str, kinds: &[MediaKind]) -> Part {
        let texts = [
            "look",
            " and this \n",
            "the \n\n",
            "<|image|> typed",
            "<|turn>user\n",
            " ",
            "a",
            "<|image_pad|>",
        ];
        let answers =
            ["ok", "<|channel>thought\nhm<channel|>yes", "<|channel>hm<channel|>", "\nsee <|audio|>", "  "];
        match kinds.get(self.below(6)) {
            Some(MediaKind::Image) => image(1 + self.below(3) as u32),
            Some(MediaKind::Audio) => audio(),
            Some(MediaKind::Video) => video(&[(1, 0.0), (2, 1.0)][..1 + self.below(2)]),
            None => text(if role == "assistant" { self.of(&answers) } else { self.of(&texts) }),
        }
    }

    /// Roles alternate where they must.
    fn prompt(&mut self, kinds: &[MediaKind], alternate: bool) -> Prompt {
        let kinds = &kinds[..self.below(kinds.len() + 1)];
        let (mut messages, system) = (Vec::new(), self.below(3) == 0);
        for i in 0..1 + self.below(7) {
            let role = match (i, self.below(8)) {
                (0, _) if system => "system",
                (_, _) if alternate => ["user", "assistant"][(i + usize::from(system)) % 2],
                (_, 0..=2) => "assistant",
                (_, 3) => "tool",
                _ => "user",
            };
            let kinds = if role == "assistant" && self.below(4) > 0 { &[] } else { kinds };
            let parts = (0..1 + self.below(4)).map(|_| self.part(role, kinds)).collect();
            messages.push(Message::new(role, parts));
        }
        Prompt { messages, ..Prompt::default() }
    }
}

/// Placement by many renderings.
struct Slow<'a> {
    placer: Placer<'a>,
    rendering: Rendering<'a>,
    formatter: &'a Formatter,
}

impl<'a> Slow<'a> {
    fn new(formatter: &'a Formatter, prompt: &'a Prompt, layout: &dyn MediaLayout) -> Result<Self> {
        let placer = Placer::new(&formatter.tokenizer, &formatter.markers, prompt, layout)?;
        let rendering = formatter.rendering(prompt, true).escaping(placer.spellings());
        Ok(Self { placer, rendering, formatter })
    }

    fn place(&self) -> Result<Placed> {
        let text = self.rendering.plain()?;
        let skeleton = self.placer.skeleton(&text);
        let mut spots = Spots::default();
        let mut dropped = Vec::new();
        for pattern in 0..self.placer.media.patterns.len() {
            let written = skeleton.written.iter().filter(|w| w.pattern == pattern);
            let written: Vec<_> = written.map(|w| w.at.clone()).collect();
            let wanted = self.placer.media.of_pattern(pattern);
            let dropping = self.dropping(pattern, &wanted, written.len())?;
            let is_dropped = |m: &usize| dropping.contains(&self.placer.media.media[*m].message);
            let (left, kept): (Vec<usize>, Vec<usize>) = wanted.into_iter().partition(is_dropped);
            dropped.extend(left);
            spots.list.extend(written.into_iter().zip(kept).map(|(at, medium)| Spot {
                at: at.start,
                len: at.len(),
                ends_turn: false,
                medium,
            }));
        }
        dropped.sort_unstable();
        match self.formatter.markers.occur_in(&text) {
            true => {
                for medium in dropped {
                    spots.list.push(self.in_turn(medium, &skeleton)?);
                }
            }
            false => spots.without_turns = dropped,
        }
        spots.list.sort_unstable();
        self.placer.write(&self.rendering, &text, spots, None)
    }

    /// The messages of whose media the template writes none.
    fn dropping(&self, pattern: usize, wanted: &[usize], total: usize) -> Result<Vec<usize>> {
        if total == wanted.len() {
            return Ok(Vec::new());
        }
        let (mut dropping, mut sum) = (Vec::new(), 0);
        let mut messages: Vec<usize> = wanted.iter().map(|&m| self.placer.media.media[m].message).collect();
        messages.dedup();
        for message in messages {
            let text = self.rendering.edited(|index, _, shown| {
                shown.parts.retain(|part| index == message || matches!(part, Content::Text(_)));
            })?;
            let written = self.placer.skeleton(&text).written;
            let count = written.iter().filter(|w| w.pattern == pattern).count();
            match count {
                0 => dropping.push(message),
                _ if count != self.placer.media.given(message, pattern) => {
                    return Err(Error::prompt("some of a message's media"));
                }
                _ => sum += count,
            }
        }
        if sum == total { Ok(dropping) } else { Err(Error::prompt("which ones cannot be told")) }
    }

    /// The parts whose text makes no difference.
    fn lost(&self, prompt: &Prompt) -> Vec<(usize, usize)> {
        let plain = self.rendering.plain().ok();
        let mut lost = Vec::new();
        for (message, content) in prompt.messages.iter().enumerate() {
            for part in (0..content.parts.len()).filter(|part| is_told(&content.parts[*part])) {
                let other = self.rendering.edited(|index, _, shown| {
                    if index == message {
                        shown.parts[part] = Content::Text("\u{13000}".into());
                    }
                });
                lost.extend((other.ok() == plain).then_some((message, part)));
            }
        }
        lost
    }

    fn in_turn(&self, medium: usize, skeleton: &Skeleton) -> Result<Spot> {
        const TAG: char = '\u{13000}';
        let kind = self.placer.media.media[medium].kind;
        let message = self.placer.media.media[medium].message;
        let tagged = self.rendering.edited(|index, _, shown| {
            let parts = &mut shown.parts;
            let is_told = |part: &&mut Content| matches!(part, Content::Text(t) if !t.trim().is_empty());
            let mut told: Vec<_> = parts.iter_mut().filter(is_told).filter(|_| index == message).collect();
            for part in &mut told {
                if let Content::Text(text) = part {
                    text.insert(text.trim_end().len(), TAG);
                }
            }
            if told.is_empty() && index == message {
                parts.push(Content::Text(TAG.into()));
            }
        })?;
        let refuse = || Error::prompt("its turn cannot be told");
        let at = tagged.find(TAG).ok_or_else(refuse)?;
        let turns = self.placer.skeleton(&tagged);
        let index = turns.turn_at(at).filter(|_| turns.turns.len() == skeleton.turns.len());
        let turn = index.map(|index| &skeleton.turns[index]).filter(|turn| !turn.is_model());
        let turn = turn.ok_or_else(refuse)?;
        let ends_turn = kind == MediaKind::Audio;
        let at = if ends_turn { turn.end.ok_or_else(refuse)? } else { turn.body };
        Ok(Spot { at, len: 0, ends_turn, medium })
    }
}

/// Templates that drop media, move them and texts, or have no turns.
fn templates() -> Vec<String> {
    let gemma = GEMMA_TEMPLATE;
    let parts = "{%- for item in message['content'] -%}";
    let images_first = "{%- for item in message['content'] if item['type'] == 'image' -%}{{- '<|image|>' -}}{%- endfor -%}\
        {%- for item in message['content'] if item['type'] != 'image' -%}";
    let kinds = "item['type'] in ['image', 'audio', 'video']";
    let merged = "{{ bos_token }}{% set ns = namespace(prefix='') %}{% for m in messages %}\
        {% if m.role == 'system' %}{% set ns.prefix = m.content | trim + '\n\n' %}{% else %}\
        {{ '<|turn>' + m.role + '\n' + ns.prefix + (m.content | trim) + '<turn|>\n' }}{% set ns.prefix = '' %}{% endif %}\
        {% endfor %}{{ ns.prefix }}";
    vec![
        gemma.to_owned(),
        GEMMA_TEXT_TEMPLATE.to_owned(),
        gemma.replace(parts, images_first),
        gemma.replace(kinds, "item['type'] == 'image'"),
        gemma.replace(kinds, "item['type'] in ['audio', 'video']"),
        gemma
            .replace("{%- set role =", "{%- set is_last = loop.last -%}{%- set role =")
            .replace(kinds, &format!("is_last and {kinds}")),
        gemma.replace(kinds, &format!("role == 'user' and {kinds}")),
        gemma.replace(kinds, &format!("loop.first and {kinds}")),
        merged.to_owned(),
        gemma.replace("'<|turn>' + role + '\\n'", "'[' + role + ':'").replace("'<turn|>\\n'", "']'"),
        gemma.replace(
            "'<|turn>' + role",
            "'<|turn>' + role + (' long' if message['content'] | length > 3 else '')",
        ),
        gemma.replace("for message in messages -%}", "for message in messages[-3:] -%}"),
        gemma
            .replace("{%- set role =", "{%- set is_last = loop.last -%}{%- set role =")
            .replace("'<|turn>' + role + '\\n'", "'[' + role + ':'")
            .replace("'<turn|>\\n'", "']'")
            .replace(kinds, &format!("is_last and {kinds}")),
        gemma.replace(
            "{%- set role =",
            "{{- message['content'] if message['content'] is string -}}{%- set role =",
        ),
    ]
}

fn is_told(part: &Part) -> bool {
    matches!(part, Part::Text(text) if !text.trim().is_empty())
}

/// Both ways for many prompts.
fn compare(f: &Formatter, layout: &dyn MediaLayout, kinds: &[MediaKind], alternate: bool) {
    let mut random = Random(7);
    let (mut equal, mut refused) = (0, 0);
    for _ in 0..PROMPTS {
        let p = random.prompt(kinds, alternate);
        let slow = Slow::new(f, &p, layout);
        let placed = slow.as_ref().map_err(Error::clone).and_then(Slow::place);
        match (placed, f.place(&p, layout)) {
            (Ok(slowly), Ok(fast)) => {
                assert_eq!(shown(f, &fast.ids), shown(f, &slowly.ids), "{p:?}");
                let places = |placed: &Placed| -> Vec<_> {
                    placed.media.iter().map(|m| (*m.media.hash(), m.tokens.clone())).collect()
                };
                assert_eq!((&fast.ids, places(&fast)), (&slowly.ids, places(&slowly)));
                let lost = slow.map_or_else(|_| Vec::new(), |slow| slow.lost(&p));
                assert_eq!(fast.lost.iter().map(|l| (l.message, l.part)).collect::<Vec<_>>(), lost, "{p:?}");
                equal += 1;
            }
            (Err(_), Err(_)) => refused += 1,
            (Ok(_), Err(e)) if e.message().contains("leaves out the") => {
                let message = e.details()["message_index"].as_u64().unwrap() as usize;
                let lost = slow.map_or_else(|_| Vec::new(), |slow| slow.lost(&p));
                let lost = lost.iter().filter(|lost| lost.0 == message).count();
                let told = p.messages[message].parts.iter().filter(|part| is_told(part)).count();
                assert_eq!((lost, told > 0), (told, true), "{e} for {p:?}");
                refused += 1;
            }
            (slow, fast) => {
                let (slow, fast) = (slow.map(|p| shown(f, &p.ids)), fast.map(|p| shown(f, &p.ids)));
                panic!("{slow:?} by counting, {fast:?} by tags, for {p:?}");
            }
        }
    }
    assert!(equal > PROMPTS / 5, "{equal} of {refused}");
}

#[test]
fn tags_tell_what_many_renderings_tell() {
    for template in &templates() {
        let f = gemma_with(Some(template));
        compare(&f, &Layout::gemma(&f), &MediaKind::ALL, false);
    }
    let silent = GEMMA3_TEMPLATE.replace("'<start_of_image>'", "''");
    for template in [GEMMA3_TEMPLATE, &silent] {
        let f = gemma3_with(Some(template));
        compare(&f, &Gemma3::new(&f), &[MediaKind::Image], true);
    }
    for template in [&qwen_vl_template(), QWEN_TEMPLATE] {
        let f = qwen_with(Some(template));
        compare(&f, &Qwen::new(&f), &[MediaKind::Image, MediaKind::Video], false);
    }
}
