//! The whole of placement for one prompt.

use super::assembly::{self, Assembler, Piece};
use super::attribution::Attribution;
use super::certain;
use super::exact::{self, Search};
use super::losses;
use super::medium::MediaSet;
use super::raw;
use super::skeleton::Skeleton;
use super::spots::{Finder, Spot, Spots};
use super::tags::Tags;
use super::turns::TurnMarkers;
use super::{Lost, MediaLayout, Placed, PlacedMedia};
use crate::error::Result;
use crate::log;
use crate::media::MediaKind;
use crate::prompt::content::Content;
use crate::prompt::exact::Generated;
use crate::prompt::message::Prompt;
use crate::prompt::rendering::Rendering;
use crate::prompt::tokenizer::TextTokenizer;

pub(in crate::prompt) struct Placer<'a> {
    tokenizer: &'a TextTokenizer,
    markers: &'a TurnMarkers,
    pub(super) media: MediaSet,
}

impl<'a> Placer<'a> {
    /// Asks the model how it lays out what the prompt holds.
    pub fn new(
        tokenizer: &'a TextTokenizer,
        markers: &'a TurnMarkers,
        prompt: &Prompt,
        layout: &dyn MediaLayout,
    ) -> Result<Self> {
        Ok(Self { tokenizer, markers, media: MediaSet::of(prompt, layout, tokenizer)? })
    }

    /// The spellings of the model's placeholders, which nobody may type.
    pub fn spellings(&self) -> &[String] {
        &self.media.spellings
    }

    /// Into ids that the host gives.
    pub fn place_raw(&self, ids: &[u32]) -> Result<Placed> {
        let pieces = raw::pieces(ids, &self.media, self.markers, self.tokenizer.canonical_bos())?;
        assembly::expand(&pieces, &self.media, self.tokenizer)
    }

    /// Into what the template writes; up to the end of a message as it was generated, if it is given.
    pub fn place(&self, rendering: &Rendering, generated: Option<(usize, &Generated)>) -> Result<Placed> {
        let text = rendering.plain()?;
        let places_nothing = self.media.media.is_empty() && generated.is_none();
        if places_nothing && certain::nothing_is_left_out(rendering, &text) {
            return self.write(rendering, &text, Spots::default(), None);
        }
        let tags = Tags::of(rendering.prompt(), &self.media, rendering.alphabet());
        let tagged = rendering.edited(|index, message, shown| tags.put(index, message, shown)).ok();
        let spots = match self.media.media.is_empty() {
            true => Spots::default(),
            false => {
                let skeleton = self.skeleton(&text);
                let attribution = self.attribution(rendering, (&text, &skeleton), &tags, tagged.as_deref());
                self.spots(rendering, &text, &skeleton, attribution.as_ref())?
            }
        };
        let lost = tagged.as_deref().map(|tagged| losses::lost_texts(rendering, &tags, &text, tagged));
        let lost: Vec<Lost> = lost.unwrap_or_default();
        losses::check(rendering.prompt(), &tags, &lost)?;
        if let Some((index, generated)) = generated {
            let tagged = tagged.as_deref().unwrap_or_default();
            let search =
                Search { tokenizer: self.tokenizer, markers: self.markers, tags: &tags, text: &text, tagged };
            match self.after(rendering, &search, &spots, (index, generated)) {
                Ok(placed) => return Ok(Placed { lost, ..placed? }),
                Err(why) => log::info(&format!(
                    "the answer in message {index} is written by the template, not as it was generated: {why}"
                )),
            }
        }
        Ok(Placed { lost, ..self.write(rendering, &text, spots, None)? })
    }

    /// The conversation up to a message as it was generated, and what the template writes after it; or why that cannot be
    /// told.
    fn after(
        &self,
        rendering: &Rendering,
        search: &Search,
        spots: &Spots,
        (index, generated): (usize, &Generated),
    ) -> std::result::Result<Result<Placed>, &'static str> {
        let prompt = rendering.prompt();
        if prompt.continue_final_message && index + 1 == prompt.messages.len() {
            return Err("it is to be continued");
        }
        let last = *generated.ids.last().ok_or("it has no tokens")?;
        let rest = search.rest(index, &prompt.messages[index], last)?;
        let spots = exact::spots_from(rest.from, index, spots, &self.media)?;
        let rest_placed = match self.write(rendering, &search.text[rest.from..], spots, None) {
            Ok(placed) => placed,
            Err(error) => return Ok(Err(error)),
        };
        let skipped = usize::from(rest.overlaps);
        if rest.overlaps && rest_placed.ids.first() != Some(&last) {
            return Err("the token that it ended with is not the first after it");
        }
        let base = generated.ids.len();
        let mut placed =
            Placed { ids: generated.ids.clone(), media: generated.media.clone(), ..Placed::default() };
        placed.ids.extend_from_slice(&rest_placed.ids[skipped..]);
        placed.media.extend(rest_placed.media.into_iter().map(|medium| {
            let moved = |at: usize| base + at - skipped;
            PlacedMedia { tokens: moved(medium.tokens.start)..moved(medium.tokens.end), ..medium }
        }));
        Ok(Ok(placed))
    }

    /// Into texts that no template puts together, after the canonical BOS.
    pub fn place_without_template(&self, rendering: &Rendering) -> Result<Placed> {
        let text = rendering.plain()?;
        let without_turns = (0..self.media.media.len()).collect();
        let spots = Spots { list: Vec::new(), without_turns };
        self.write(rendering, &text, spots, self.tokenizer.canonical_bos())
    }

    pub(super) fn skeleton(&self, text: &str) -> Skeleton {
        Skeleton::of(text, self.tokenizer, self.markers, &self.media)
    }

    /// What the tags tell, if anything: of all messages, or else of those with media.
    fn attribution(
        &self,
        rendering: &Rendering,
        plain: (&str, &Skeleton),
        tags: &Tags,
        tagged: Option<&str>,
    ) -> Option<Attribution> {
        let read = |tagged: &str| Attribution::read(tagged, &self.skeleton(tagged), plain, tags, &self.media);
        tagged.and_then(read).or_else(|| {
            let holds = |index| self.media.media.iter().any(|medium| medium.message == index);
            let fewer = rendering.edited(|index, message, shown| {
                if holds(index) {
                    tags.put(index, message, shown);
                }
            });
            read(&fewer.ok()?)
        })
    }

    fn spots(
        &self,
        rendering: &Rendering,
        text: &str,
        skeleton: &Skeleton,
        attribution: Option<&Attribution>,
    ) -> Result<Spots> {
        let count = |pattern, shown: Option<usize>| {
            let text = rendering.edited(|index, _, message| {
                message.parts.retain(|part| shown == Some(index) || !matches!(part, Content::Media(_)));
            });
            Ok(self.skeleton(&text?).written.iter().filter(|w| w.pattern == pattern).count())
        };
        let finder =
            Finder { media: &self.media, markers: self.markers, skeleton, attribution, count: &count };
        finder.find(text)
    }

    /// Puts the blocks into the text and tokenizes it. `bos` stands before it all.
    pub(super) fn write(
        &self,
        rendering: &Rendering,
        text: &str,
        mut spots: Spots,
        bos: Option<u32>,
    ) -> Result<Placed> {
        let late = self.spots_without_turns(text, &mut spots);
        let escape = |text: &str| rendering.escape(text);
        let assembler = Assembler {
            tokenizer: self.tokenizer,
            media: &self.media,
            mark: rendering.mark(),
            escape: &escape,
        };
        let mut pieces: Vec<Piece> = bos.into_iter().map(Piece::Id).collect();
        pieces.extend(assembler.pieces(text, &spots.list)?);
        let end = pieces.len() - usize::from(matches!(pieces.last(), Some(Piece::Id(_))));
        let late: Vec<Piece> = late.into_iter().flat_map(|m| self.media.media[m].pieces()).collect();
        pieces.splice(end..end, late);
        assembly::expand(&pieces, &self.media, self.tokenizer)
    }

    /// For prompts without turns: images and videos after a leading BOS, audio before what the text ends with if that
    /// is a medium. Audio that goes before the final token is returned, since tokens are not known yet.
    fn spots_without_turns(&self, text: &str, spots: &mut Spots) -> Vec<usize> {
        let is_heard = |m: &usize| self.media.media[*m].kind == MediaKind::Audio;
        let (heard, seen): (Vec<usize>, Vec<usize>) =
            std::mem::take(&mut spots.without_turns).into_iter().partition(is_heard);
        let leading = self.tokenizer.leading_bos(text);
        let last = match spots.list.last() {
            Some(spot) if spot.at + spot.len == text.len() => Some(spot.at),
            _ => (text.len() == leading).then_some(leading),
        };
        let spot = |at, ends_turn| move |medium| Spot { at, len: 0, ends_turn, medium };
        spots.list.extend(seen.into_iter().map(spot(leading, false)));
        let late = match last {
            Some(at) => {
                spots.list.extend(heard.into_iter().map(spot(at, true)));
                Vec::new()
            }
            None => heard,
        };
        spots.list.sort_unstable();
        late
    }
}
