//! A model that several processes run together answers like one that a single process runs, and no process is lost with another.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::tasks::{FOLDERS, TASK, WAIT};

/// How soon the loss of a rank must be told.
const SOON: Duration = Duration::from_secs(10);

/// One group at a time.
static TURN: Mutex<()> = Mutex::new(());

/// The processes of a group; they end with it.
struct Group {
    ranks: Vec<(Child, BufReader<ChildStdout>)>,
    _hosts: tempfile::NamedTempFile,
    _turn: MutexGuard<'static, ()>,
}

impl Drop for Group {
    fn drop(&mut self) {
        for (rank, _) in &mut self.ranks {
            // One that has ended already is no more there.
            let _ = rank.kill();
            let _ = rank.wait();
        }
    }
}

impl Group {
    /// A process for each task and its snapshots, `folder,folder`. Ranks that do not come have no task.
    fn start(tasks: &[(&str, &str)], wait: Duration) -> Group {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        // Ports that were free a moment ago.
        let listen = |_| TcpListener::bind("127.0.0.1:0").expect("a port");
        let ports: Vec<TcpListener> = tasks.iter().map(listen).collect();
        let address = |port: &TcpListener| [port.local_addr().expect("an address").to_string()];
        let addresses: Vec<[String; 1]> = ports.iter().map(address).collect();
        let hosts = tempfile::NamedTempFile::new().expect("a file");
        fs::write(hosts.path(), serde_json::to_string(&addresses).expect("JSON")).expect("a host file");
        drop(ports);
        let come = tasks.iter().enumerate().filter(|(_, (task, _))| !task.is_empty());
        let start = |(rank, (task, folders)): (usize, &(&str, &str))| {
            let mut child = Command::new(std::env::current_exe().expect("this program"))
                .args(["--exact", "tasks::a_rank_does_its_task", "--nocapture"])
                .envs([(TASK, *task), (FOLDERS, folders), (WAIT, &wait.as_millis().to_string())])
                .env("MLX_RANK", rank.to_string())
                .env("MLX_HOSTFILE", hosts.path())
                .env("RMLX_TEST_SIZE", tasks.len().to_string())
                .stdout(Stdio::piped())
                .spawn()
                .expect("a process");
            let told = BufReader::new(child.stdout.take().expect("an output"));
            (child, told)
        };
        Group { ranks: come.map(start).collect(), _hosts: hosts, _turn: turn }
    }

    /// Rank 0 does `task` with the snapshots, the others follow.
    fn of(size: usize, task: &str, folders: &str) -> Group {
        let mut tasks = vec![("serve", folders); size];
        tasks[0].0 = task;
        Self::start(&tasks, Duration::from_secs(120))
    }

    /// The next line that a rank tells.
    #[track_caller]
    fn hear(&mut self, rank: usize) -> String {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            let read = self.ranks[rank].1.read_line(&mut line).expect("a line");
            assert!(read > 0, "rank {rank} ended: {seen}");
            if let Some((_, told)) = line.trim_end().split_once("TOLD ") {
                return told.to_owned();
            }
            seen.push_str(&line);
        }
    }

    /// Every rank must end well.
    #[track_caller]
    fn finish(mut self) {
        for (rank, (child, _)) in self.ranks.iter_mut().enumerate() {
            assert!(child.wait().expect("an end").success(), "rank {rank}");
        }
    }

    #[track_caller]
    fn finish_done(mut self, folders: &str) {
        let others = self.ranks.len();
        for _ in folders.split(',') {
            assert_eq!(self.hear(0), "done");
            (1..others).for_each(|rank| assert_eq!(self.hear(rank), "let go"));
        }
        self.finish();
    }
}

/// One of each kind, in all modes.
const KINDS: &str = "unified-mixed-affine,unified-mxfp4,e2b-mxfp8,e4b-bf16-hf,moe-nvfp4,dense31-affine4,gemma3-mixed,\
    gemma3text-bf16-hf,gemma4text-affine4,qwen3vl-nvfp4,qwen3vltied-bf16-hf,qwen3vlmoe-mxfp4";

#[test]
fn two_ranks_answer_like_the_reference() {
    Group::of(2, "golden", KINDS).finish_done(KINDS);
}

#[test]
#[ignore = "minutes on two processors"]
fn two_ranks_answer_like_the_reference_in_every_storage() {
    let all: Vec<String> = crate::fixtures::snapshots().into_keys().collect();
    let all = all.join(",");
    Group::of(2, "golden", &all).finish_done(&all);
}

/// Three ranks divide nothing evenly.
#[test]
fn three_ranks_answer_like_the_reference() {
    Group::of(3, "golden", "unified-mxfp4").finish_done("unified-mxfp4");
}

#[test]
#[ignore = "minutes on two processors"]
fn three_ranks_answer_like_the_reference_in_every_kind() {
    Group::of(3, "golden", KINDS).finish_done(KINDS);
}

#[test]
fn what_sessions_do_two_ranks_do() {
    Group::of(2, "past", "e2b-bf16-hf").finish_done("e2b-bf16-hf");
}

#[test]
fn a_rank_that_is_killed_ends_the_answer_and_no_other_process() {
    let mut group = Group::of(2, "endless", "unified-mxfp4");
    assert_eq!(group.hear(0), "answers");
    std::thread::sleep(Duration::from_millis(500));
    group.ranks[1].0.kill().expect("a process");
    let killed = Instant::now();
    for _ in ["the answer", "the next one"] {
        let told = group.hear(0);
        assert!(told.starts_with("failed 10 rank 1 of 2 is gone"), "{told}");
        assert!(killed.elapsed() < SOON);
    }
    assert_eq!(group.hear(0), "done");
    assert!(group.ranks[0].0.wait().expect("an end").success());
}

#[test]
fn when_rank_0_is_killed_the_others_are_told() {
    let mut group = Group::of(2, "endless", "unified-mxfp4");
    assert_eq!(group.hear(0), "answers");
    group.ranks[0].0.kill().expect("a process");
    let killed = Instant::now();
    let told = group.hear(1);
    assert!(told.starts_with("failed 10 rank 0 of 2 is gone"), "{told}");
    assert!(killed.elapsed() < SOON);
    assert!(group.ranks[1].0.wait().expect("an end").success());
}

#[test]
fn a_group_that_does_not_form_is_an_error_in_time() {
    let began = Instant::now();
    let tasks = [("golden", "unified-mxfp4"), ("", "")];
    let mut group = Group::start(&tasks, Duration::from_secs(2));
    let told = group.hear(0);
    assert!(
        told.starts_with("failed 15 the group of 2 did not form around rank 0 in 2 s: rank 1 did not come"),
        "{told}"
    );
    assert!(began.elapsed() < SOON);
    group.finish();
}

#[test]
fn other_weights_are_found_before_they_are_read() {
    let tasks = [("golden", "unified-bf16-mlx"), ("serve", "unified-mxfp4")];
    let mut group = Group::start(&tasks, Duration::from_secs(60));
    for rank in 0..2 {
        let told = group.hear(rank);
        assert!(told.starts_with("failed 3 rank 1 has another snapshot than rank 0"), "{told}");
    }
    group.finish();
}

#[test]
fn heads_that_are_too_few_are_an_error_with_their_number() {
    let tasks = [("golden", "unified-mxfp4"); 20];
    let mut group = Group::start(&[&tasks[..1], &[("", ""); 19]].concat(), Duration::from_secs(2));
    let told = group.hear(0);
    assert!(
        told.starts_with("failed 4 ") && told.contains("attention heads cannot be divided among 20 ranks"),
        "{told}"
    );
    group.finish();
}
