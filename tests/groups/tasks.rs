//! What the processes of a group do.

use std::ffi::c_void;
use std::io::Write;
use std::path::Path;
use std::ptr;

use rmlx::ffi::generation_options::*;
use rmlx::ffi::group::*;
use rmlx::ffi::load_options::*;
use rmlx::ffi::status::*;

use crate::answers::{Options, Session};
use crate::compared::answers_like_the_reference;
use crate::fixtures::{self, Case, TOLERANCE, distance, sigma};
use crate::harness::{Failure, LoadOptions, Model, Outcome, Prompt, check};

/// What a process of a group does: a task, with which snapshots, and how long it waits for the others.
pub const TASK: &str = "RMLX_TEST_TASK";
pub const FOLDERS: &str = "RMLX_TEST_FOLDERS";
pub const WAIT: &str = "RMLX_TEST_WAIT";
/// Set for a process that tells how its load goes.
pub const LOADS: &str = "RMLX_TEST_LOADS";

/// Of the group that the environment describes.
fn options() -> LoadOptions {
    let wait = std::env::var(WAIT).expect("a time").parse().expect("milliseconds");
    // SAFETY: no address is passed.
    let options = LoadOptions::new().set(|options, error| unsafe {
        rmlx_load_options_set_group(options, RMLX_GROUP_AUTO, -1, 0, ptr::null(), error)
    });
    let options = match std::env::var(LOADS) {
        Ok(_) => options.set(|options, error| {
            rmlx_load_options_set_progress(options, Some(loads), ptr::null_mut(), None, error)
        }),
        Err(_) => options,
    };
    options.set(|options, error| rmlx_load_options_set_group_timeout(options, wait, error))
}

extern "C" fn loads(_: f32, _: *mut c_void) {
    tell("loads");
}

fn serve(folder: &Path) -> Outcome<()> {
    let dir = std::ffi::CString::new(folder.to_str().expect("UTF-8")).expect("no NUL");
    // SAFETY: the path ends with a NUL.
    check(|error| unsafe { rmlx_group_serve(dir.as_ptr(), options().raw(), error) })
}

/// A line for the test that started the process.
fn tell(line: &str) {
    println!("TOLD {line}");
    std::io::stdout().flush().expect("an output");
}

fn tell_failure(failure: &Failure) {
    tell(&format!("failed {} {}", failure.code, failure.message));
}

/// Does nothing but in the processes that the other tests start.
#[test]
fn a_rank_does_its_task() {
    let Ok(task) = std::env::var(TASK) else { return };
    let folders = std::env::var(FOLDERS).expect("folders");
    for folder in folders.split(',').map(|folder| (folder, fixtures::path(folder))) {
        match (task.as_str(), folder) {
            ("serve", (folder, path)) => match serve(&path) {
                Ok(()) => tell("let go"),
                Err(failure) => {
                    tell_failure(&failure);
                    lives(folder);
                }
            },
            (task, (folder, path)) => match Model::load_with(path, &options()) {
                Ok(model) => lead(task, &model, folder),
                Err(failure) => {
                    tell_failure(&failure);
                    lives(folder);
                }
            },
        }
    }
}

fn lead(task: &str, model: &Model, folder: &str) {
    match task {
        "golden" => answers_like_the_reference(model, folder),
        "past" => past(model, folder),
        "endless" | "prefill" => endless(task, model, folder),
        other => panic!("{other}"),
    }
    tell("done");
}

/// Sessions that go back, fork, are cancelled and answer together are as those of one process.
fn past(model: &Model, folder: &str) {
    let alone = Model::load(fixtures::path(folder)).expect("the snapshot loads");
    let long = "The window of this model is short, and this text is made longer than that window, so that the \
        beginning of it is not seen any more by the layers that slide over the text.";
    let prompts = [
        Prompt::user(long),
        Prompt::user(long).message("assistant").text("I see.").message("user").text("More!"),
        Prompt::user(long).message("assistant").text("No.").message("user").text("Go on."),
        Prompt::user("Something else"),
        Case::all().iter().find(|case| !case.media.is_empty()).expect("a picture or a sound").prompt(),
    ];
    let session = Session::new(model);
    for prompt in &prompts {
        let answer = session.answer(prompt, &Options::endless(6));
        let wanted = Session::new(&alone).answer(prompt, &Options::endless(6));
        let off = distance(&answer.first_row, &wanted.first_row, sigma(&wanted.first_row));
        assert!(off <= TOLERANCE, "off by {off}");
        assert_eq!(answer.tokens(), wanted.tokens());
    }
    let fork = session.fork().expect("a fork");
    let [a, b] = [&session, &fork].map(|session| {
        session.submit(&prompts[1], &Options::endless(40)).expect("a submit");
        session
    });
    let (a, b) = (a.rest(), b.rest());
    assert_eq!(a.tokens(), b.tokens(), "two sessions in one pass");
    session.submit(&prompts[3], &Options::endless(10_000)).expect("a submit");
    session.step().expect("an event");
    session.cancel();
    session.rest();
    let refused = session.saved().expect_err("each rank has a part");
    assert_eq!(refused.code, RMLX_ERROR_UNSUPPORTED);
    assert_eq!(
        model.info()["ranks"],
        std::env::var("RMLX_TEST_SIZE").expect("a size").parse::<u64>().expect("a number")
    );
}

/// This process goes on by itself.
fn lives(folder: &str) {
    let own = Model::load(fixtures::path(folder)).expect("a model of its own");
    Session::new(&own).answer(&Prompt::user("Hello"), &Options::endless(3));
    tell("lives");
}

/// An answer until a rank is lost.
fn endless(task: &str, model: &Model, folder: &str) {
    let session = Session::of_chunk(model, 16);
    let text = match task {
        "prefill" => "The window of this model is short. ".repeat(320),
        _ => "Hello".to_owned(),
    };
    let options = Options::endless(100_000)
        .set(|options, error| rmlx_generation_options_set_progress_events(options, true, error));
    session.submit(&Prompt::user(&text), &options).expect("a submit");
    session.step().expect("an event");
    tell("answers");
    let end = session.rest().events.pop().expect("a last event");
    tell_failure(&end.error.expect("the loss of a rank"));
    let session = Session::new(model);
    session.submit(&Prompt::user("Hello"), &Options::endless(2)).expect("a submit");
    let end = session.rest().events.pop().expect("a last event");
    tell_failure(&end.error.expect("there is no group any more"));
    lives(folder);
}
