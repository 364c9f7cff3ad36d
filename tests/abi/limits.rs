//! Processes that have little room: what does not fit is an error, and never the end of the process.

use std::process::Command;
use std::time::{Duration, Instant};

use rmlx::ffi::memory::rmlx_memory_trim;
use rmlx::ffi::status::{RMLX_ERROR_INVALID_PROMPT, RMLX_ERROR_OUT_OF_MEMORY};

use crate::answers::{Options, Session};
use crate::folder::inspect;
use crate::harness::{Failure, Media, Model, Prompt, check};
use crate::scratch::Scratch;
use crate::{around, fixtures, sound};

/// A process of its own: the thread is started once, and limits are the process's.
#[test]
fn a_thread_that_could_not_be_started_is_started_later() {
    around::alone("limits::a_thread_that_could_not_be_started_is_started_later", || {
        let before = address_space_limit();
        // Less than a thread's stack, and enough for everything small.
        set_address_space_limit(address_space() + (1 << 20));
        let refused = check(|error| rmlx_memory_trim(error));
        set_address_space_limit(before);
        let refused = refused.expect_err("there is no room for a thread");
        assert_eq!(refused.code, RMLX_ERROR_OUT_OF_MEMORY, "{refused:?}");
        assert!(refused.message.contains("thread"), "{refused:?}");
        check(|error| rmlx_memory_trim(error)).expect("the thread");
    });
}

/// What a template makes is bounded as its steps are: whatever it does, the process gets along with what a rendering may make,
/// and lives. Each of these would take gigabytes.
#[test]
fn a_template_that_makes_texts_and_lists_without_end_is_stopped() {
    around::alone("limits::a_template_that_makes_texts_and_lists_without_end_is_stopped", || {
        let templates = [
            "{% set ns = namespace(x='ab') %}{% for i in range(40) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
            "{% set ns = namespace(x='ab') %}{% for i in range(40) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
            "{% set ns = namespace(x=[1]) %}{% for i in range(40) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
            "{% set ns = namespace(x=(1,)) %}{% for i in range(40) %}{% set ns.x = ns.x * 2 %}{% endfor %}",
            "{% set ns = namespace(x=[]) %}{% for i in range(9999) %}{% set ns.x = ns.x + [i|string * 999999] %}{% endfor %}",
            "{% set ns = namespace(x=[]) %}{% for i in range(9999) %}{% set ns.x = [ns.x, range(99999)|list] %}{% endfor %}",
            "{% set ns = namespace(x=[]) %}{% for i in range(999) %}{% set ns.x = [ns.x, ('a' * 9999999)[:-1]] %}{% endfor %}",
            "{% set ns = namespace(x=[]) %}{% for i in range(999) %}{% set ns.x = [ns.x, '%60000d' % i * 99] %}{% endfor %}",
            "{% set ns = namespace(x=[]) %}{% for i in range(999) %}{% set x %}{{ 'a' * 9999999 }}{% endset %}{% set ns.x = [ns.x, x] %}{% endfor %}",
            "{% set x %}{% for i in range(99999) %}{% for j in range(99999) %}aaaaaaaaaaaaaaaaaaaaaaaaaaaa{% endfor %}{% endfor %}{% endset %}",
            "{% macro m() %}{{ 'a' * 9999999 }}{% endmacro %}{% set ns = namespace(x=[]) %}{% for i in range(999) %}{% set ns.x = [ns.x, m()] %}{% endfor %}",
            "{% filter upper %}{% for i in range(999) %}{{ 'a' * 9999999 }}{% endfor %}{% endfilter %}",
            "{% for i in range(999) %}{{ 'a' * 9999999 }}{% endfor %}",
            "{{ ['a' * 9999999] * 999 }}",
            "{{ (['a' * 9999999] * 999)|join }}",
            "{{ (['a' * 9999999] * 999)|tojson }}",
            "{{ ('a' * 60000000)|list|length }}",
            "{{ ('a ' * 30000000).split(' ')|length }}",
            "{{ ('a ' * 30000000)|map('upper')|list }}",
            "{{ ('a' * 60000000)|batch(1)|list }}",
            "{{ [1]|batch(999999999, 0)|list }}",
            "{{ [1]|slice(999999999)|list }}",
            "{{ ('a' * 60000000)|reverse|list }}",
            "{{ ('a' * 60000000)|sort }}",
            "{{ ('a' * 60000000)|unique|list }}",
            "{{ range(99999)|map('string')|map('center', 9999)|list }}",
            "{{ ([range(99999)] * 999)|map('list')|list }}",
            "{{ ([range(99999)|list] * 999)|sum(start=[]) }}",
            "{{ [1]|tojson(indent=999999999) }}",
            "{{ 'a'|rjust(999999999) if false else 'a'.rjust(999999999) }}",
            "{{ '{:>60000}'.format('a') * 9999 }}",
        ];
        let room = 1 << 30;
        let models: Vec<(Scratch, &str)> =
            templates.iter().map(|template| (Scratch::dense().with_template(template), *template)).collect();
        for (folder, template) in &models {
            let model = Model::load(folder.path()).expect(template);
            let before = address_space_limit();
            set_address_space_limit(address_space() + room);
            let rendered = model.render(&Prompt::user("Hello"));
            set_address_space_limit(before);
            let failure = rendered.expect_err(template);
            assert_eq!(failure.code, RMLX_ERROR_INVALID_PROMPT, "{template}: {failure:?}");
            assert!(failure.message.contains("chat_template.jinja, line 1"), "{template}: {failure:?}");
        }
    });
}

/// A process of its own: the limit is the process's. What it lacks is no fault of the snapshot.
#[test]
fn a_process_that_may_open_no_more_files_is_told_so() {
    around::alone("limits::a_process_that_may_open_no_more_files_is_told_so", || {
        let folder = fixtures::path("unified-bf16-hf");
        sound::host_is_sound();
        // Reading the folder takes one file at a time and its listing; loading it, all shards.
        let files: Vec<std::fs::File> =
            std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).take(64).collect();
        let highest = files.iter().map(std::os::fd::AsRawFd::as_raw_fd).max().expect("files") as u64;
        let before = limit_of_files(highest + 1);
        for spare in 0..4 {
            limit_of_files(highest + 1 + spare);
            for refused in [inspect(&folder).err(), Model::load(&folder).err()].into_iter().flatten() {
                assert_eq!(refused.code, RMLX_ERROR_OUT_OF_MEMORY, "{refused:?}");
                assert!(refused.message.contains("cannot be read"), "{refused:?}");
            }
            if spare == 0 {
                assert!(inspect(&folder).is_err() && Model::load(&folder).is_err());
            }
        }
        limit_of_files(before);
        Model::load(&folder).expect("a model");
    });
}

/// Sets the soft limit, and gives what it was.
fn limit_of_files(count: u64) -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is there to be written, and read.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        let before = std::mem::replace(&mut limit.rlim_cur, count);
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
        before
    }
}

const STAGE: &str = "RMLX_TEST_STAGE";
/// MiB that the process may still take when a stage begins.
const ROOM: &str = "RMLX_TEST_ROOM";
const FOLDER: &str = "RMLX_TEST_FOLDER";
/// MiB for a sweep, where somebody wants others.
const ROOMS: &str = "RMLX_TEST_ROOMS";

/// What one process came to: `Ok` where the stage went through.
type Ending = Result<(), Failure>;

/// The stage that the environment asks for, in this process.
fn stage() {
    let var = |name: &str| std::env::var(name).expect(name);
    let dir = fixtures::path(&var(FOLDER));
    let room = var(ROOM).parse::<u64>().expect("a number") << 20;
    let before = address_space_limit();
    let tight = |work: &dyn Fn() -> Ending| {
        set_address_space_limit(address_space() + room);
        let ending = work();
        set_address_space_limit(before);
        ending
    };
    let ending = match var(STAGE).as_str() {
        "load" => tight(&|| Model::load(&dir).map(drop)),
        stage => {
            let model = Model::load(&dir).expect("a model");
            let session = Session::new(&model);
            session.answer(&Prompt::user("Hello"), &Options::endless(2));
            let prompt = if stage == "picture" { picture() } else { long() };
            let ending = tight(&|| whole(&session, &prompt));
            // The session is usable afterwards, whatever became of the answer.
            session.answer(&Prompt::user("Hello"), &Options::endless(2));
            ending
        }
    };
    if let Err(failure) = &ending {
        assert_eq!(failure.code, RMLX_ERROR_OUT_OF_MEMORY, "{failure:?}");
    }
    sound::host_is_sound();
    println!("ENDED {}", if ending.is_ok() { "ok" } else { "refused" });
}

/// A submit and everything to its FINISH.
fn whole(session: &Session, prompt: &Prompt) -> Ending {
    session.submit(prompt, &Options::endless(3))?;
    match session.rest().events.pop().and_then(|event| event.error) {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

fn long() -> Prompt {
    let ids: Vec<u32> = (0..3500).map(|i| 300 + i % 200).collect();
    Prompt::new().tokens(&ids)
}

fn picture() -> Prompt {
    let pixels: Vec<u8> = (0..1024 * 1024).map(|i| (i / 7 % 251) as u8).collect();
    let image = Media::gray(1024, 1024, &pixels).expect("an image");
    Prompt::new().message("user").media(&image).text("What is it?")
}

/// Each stage with each room, in a process of its own; a line for each, and how often it went through.
fn sweep(test: &str, folder: &str, stages: &[&str], rooms: &[u64]) -> usize {
    let (program, mut through) = (std::env::current_exe().expect("this program"), 0);
    for stage in stages {
        for room in rooms {
            let began = Instant::now();
            let run = Command::new(&program)
                .args(["--exact", test, "--nocapture"])
                .envs([(STAGE, *stage), (ROOM, &room.to_string()), (FOLDER, folder)])
                .output()
                .expect("a run");
            let told = String::from_utf8_lossy(&run.stdout);
            let ended = told.lines().find_map(|line| line.split("ENDED ").nth(1)).unwrap_or("died");
            println!("{folder} {stage} with {room} MiB: {ended} {}", run.status);
            let died = String::from_utf8_lossy(&run.stderr);
            assert!(run.status.success() && ended != "died", "{stage} with {room} MiB: {told}{died}");
            assert!(began.elapsed() < Duration::from_secs(120), "{stage} with {room} MiB took too long");
            through += usize::from(ended == "ok");
        }
    }
    through
}

/// Each room is what a process may take more than it has: too little for everything, then for some of it.
#[test]
fn what_does_not_fit_into_the_address_space_is_an_error() {
    if std::env::var_os(STAGE).is_some() {
        return stage();
    }
    const TEST: &str = "limits::what_does_not_fit_into_the_address_space_is_an_error";
    let asked = std::env::var(ROOMS).ok();
    let asked: Option<Vec<u64>> =
        asked.map(|list| list.split(',').map(|room| room.parse().expect("a number")).collect());
    let rooms = asked.unwrap_or_else(|| vec![2, 24, 120, 1000]);
    let through = sweep(TEST, "unified-bf16-mlx", &["load", "prefill", "picture"], &rooms);
    assert!(through >= 3, "with the largest room everything goes through: {through}");
}

fn address_space() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("statm");
    let pages: u64 = pages.split(' ').next().and_then(|n| n.parse().ok()).expect("pages");
    // SAFETY: asks for a number.
    pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64
}

fn address_space_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is there to be written.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_AS, &raw mut limit) }, 0);
    limit.rlim_cur
}

/// The soft limit.
fn set_address_space_limit(bytes: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is there to be written, and read.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_AS, &raw mut limit), 0);
        limit.rlim_cur = bytes;
        assert_eq!(libc::setrlimit(libc::RLIMIT_AS, &raw const limit), 0);
    }
}
