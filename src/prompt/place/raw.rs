//! Media in ids that the host gives.

use super::assembly::Piece;
use super::medium::{MediaSet, Medium};
use super::spots::Spot;
use super::turns::TurnMarkers;
use crate::error::{Error, Result};
use crate::media::MediaKind;

/// The ids with each medium at its placeholder; where there are neither placeholders nor turns, images and videos
/// after a leading BOS and audio before the final token.
pub(super) fn pieces<'a>(
    ids: &[u32],
    media: &'a MediaSet,
    markers: &TurnMarkers,
    bos: Option<u32>,
) -> Result<Vec<Piece<'a>>> {
    let mut spots = Vec::new();
    let mut loose = Vec::new();
    let written = placeholders(ids, media);
    for pattern in 0..media.patterns.len() {
        let (wanted, len) = (media.of_pattern(pattern), media.patterns[pattern].len());
        let found: Vec<usize> = written.iter().filter(|w| w.1 == pattern).map(|w| w.0).collect();
        if found.is_empty() && !markers.occur_in_ids(ids) {
            loose.extend(wanted);
        } else if found.len() == wanted.len() {
            let spot = |(at, medium)| Spot { at, len, ends_turn: false, medium };
            spots.extend(found.into_iter().zip(wanted).map(spot));
        } else {
            return Err(mismatch(
                &media.media[wanted[0]],
                found.len(),
                wanted.len(),
                &media.patterns[pattern],
            ));
        }
    }
    spots.sort_unstable();
    let leading = usize::from(bos.is_some_and(|bos| ids.first() == Some(&bos)));
    let last = match spots.last() {
        Some(spot) if spot.at + spot.len == ids.len() => spot.at,
        _ => (ids.len() - 1).max(leading),
    };
    spots.extend(loose.into_iter().map(|medium| {
        let ends_turn = media.media[medium].kind == MediaKind::Audio;
        Spot { at: if ends_turn { last } else { leading }, len: 0, ends_turn, medium }
    }));
    spots.sort_unstable();
    Ok(filled(ids, &spots, media))
}

/// Whole placeholders: where they begin, and the indices of their patterns.
fn placeholders(ids: &[u32], media: &MediaSet) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < ids.len() {
        let pattern = media.pattern_at(ids[at..].iter().copied());
        found.extend(pattern.map(|pattern| (at, pattern)));
        at += pattern.map_or(1, |pattern| media.patterns[pattern].len());
    }
    found
}

fn filled<'a>(ids: &[u32], spots: &[Spot], media: &'a MediaSet) -> Vec<Piece<'a>> {
    let mut pieces = Vec::with_capacity(ids.len());
    let mut from = 0;
    for spot in spots {
        pieces.extend(ids[from..spot.at].iter().copied().map(Piece::Id));
        pieces.extend(media.media[spot.medium].pieces());
        from = spot.at + spot.len;
    }
    pieces.extend(ids[from..].iter().copied().map(Piece::Id));
    pieces
}

fn mismatch(medium: &Medium, found: usize, given: usize, placeholder: &[u32]) -> Error {
    let kind = medium.kind.name();
    let ids: Vec<String> = placeholder.iter().map(u32::to_string).collect();
    let ids = format!("{} {}", if ids.len() == 1 { "id" } else { "ids" }, ids.join(" "));
    let text = format!("the tokens hold {found} {kind} placeholders ({ids}) for {given} media of that kind");
    Error::prompt(text).with("message_index", medium.message)
}
