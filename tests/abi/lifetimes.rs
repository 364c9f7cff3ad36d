//! Objects keep what they are made of alive, so that they may be released in any order.

use std::ptr::NonNull;

use rmlx::ffi::event::{RMLX_EVENT_TEXT, rmlx_event, rmlx_event_kind, rmlx_event_release};
use rmlx::ffi::session::rmlx_session_step;

use crate::answers::{Options, Session};
use crate::fixtures::{self, Case};
use crate::harness::{Media, Model, Prompt, make_object};
use crate::sound;

struct Held(NonNull<rmlx_event>);

impl Held {
    fn is_readable(&self) -> bool {
        // SAFETY: the event is released with this object only.
        rmlx_event_kind(Some(unsafe { self.0.as_ref() })) == RMLX_EVENT_TEXT
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: the event is ours.
        rmlx_event_release(Some(unsafe { Box::from_raw(self.0.as_ptr()) }));
    }
}

/// What a host holds in the middle of an answer.
struct Host {
    model: Option<Model>,
    media: Option<Media>,
    prompt: Option<Prompt>,
    options: Option<Options>,
    session: Option<Session>,
    event: Option<Held>,
}

const OBJECTS: usize = 6;

impl Host {
    fn in_the_middle_of_an_answer() -> Self {
        let model = Model::load(fixtures::path("unified-bf16-mlx")).expect("the snapshot loads");
        let media = Media::image(&fixtures::bytes("media/strip.png")).expect("an image");
        let prompt = Prompt::new().message("user").media(&media).text("Describe the picture.");
        let options = Options::endless(200);
        let session = Session::new(&model);
        session.submit(&prompt, &options).expect("an accepted prompt");
        // SAFETY: the session lives.
        let event = make_object(|out, error| unsafe { rmlx_session_step(session.raw(), out, error) });
        let event = Held(event.expect("an event"));
        Self {
            model: Some(model),
            media: Some(media),
            prompt: Some(prompt),
            options: Some(options),
            session: Some(session),
            event: Some(event),
        }
    }

    fn release(&mut self, object: usize) {
        match object {
            0 => self.model = None,
            1 => self.media = None,
            2 => self.prompt = None,
            3 => self.options = None,
            4 => self.session = None,
            _ => self.event = None,
        }
    }

    /// The rest still does what it is for.
    fn goes_on(&self) {
        if let Some(session) = &self.session {
            assert!(session.step().expect("an event").token.is_some());
            assert!(!session.logits().expect("a row").is_empty());
        }
        if let Some(event) = &self.event {
            assert!(event.is_readable());
        }
        if let (Some(model), Some(prompt)) = (&self.model, &self.prompt) {
            assert_eq!(model.count(prompt), Ok(60));
        }
    }
}

#[test]
fn objects_may_be_released_in_any_order_in_the_middle_of_an_answer() {
    for first in 0..OBJECTS {
        for step in [1, OBJECTS - 1] {
            let mut host = Host::in_the_middle_of_an_answer();
            for i in 0..OBJECTS {
                host.release((first + i * step) % OBJECTS);
                host.goes_on();
            }
        }
    }
    sound::host_is_sound();
}

#[test]
fn a_session_answers_on_after_its_model_was_released() {
    let model = Model::load(fixtures::path("unified-bf16-mlx")).expect("the snapshot loads");
    let again = model.clone();
    let session = Session::new(&model);
    drop(model);
    sound::is_usable(&session);
    drop(again);
    sound::is_usable(&session);
}

#[test]
fn a_prompt_keeps_its_media() {
    let case = Case::load("one_image");
    // The case's prompt has released its media when it returns.
    let prompt = case.prompt();
    for _ in 0..2 {
        let answer = Session::new(fixtures::model()).answer(&prompt, &Options::endless(2));
        assert_eq!(answer.tokens(), case.bf16().greedy_ids[..2]);
    }
}

#[test]
fn a_running_answer_does_not_need_its_prompt_any_more() {
    let case = Case::load("image_and_audio");
    let session = Session::of_chunk(fixtures::model(), 16);
    session.submit(&case.prompt(), &Options::endless(3)).expect("an accepted prompt");
    assert_eq!(session.rest().tokens(), case.bf16().greedy_ids[..3]);
}

#[test]
fn many_sessions_come_and_go_in_the_middle_of_their_answers() {
    let prompt = Case::load("one_image").prompt();
    for steps in (0..3).cycle().take(30) {
        let session = Session::new(fixtures::model());
        session.submit(&prompt, &Options::endless(100)).expect("an accepted prompt");
        for _ in 0..steps {
            session.step().expect("an event");
        }
    }
    sound::host_is_sound();
}
