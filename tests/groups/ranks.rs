//! A model that several processes run together answers like one that a single process runs, and no process is lost with another.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::tasks::{FOLDERS, LOADS, TASK, WAIT};

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

/// What tells a process of its group: a ring, or GPUs with one for each rank.
fn place(nccl: bool, rank: usize, hosts: &Path, addresses: &[[String; 1]]) -> Vec<(&'static str, String)> {
    if !nccl {
        return vec![("MLX_HOSTFILE", hosts.display().to_string())];
    }
    let (host, port) = addresses[0][0].rsplit_once(':').expect("a port");
    vec![
        ("NCCL_HOST_IP", host.to_owned()),
        ("NCCL_PORT", port.to_owned()),
        ("MLX_WORLD_SIZE", addresses.len().to_string()),
        ("CUDA_VISIBLE_DEVICES", rank.to_string()),
    ]
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
        let nccl = std::env::var("RMLX_TEST_NCCL").is_ok();
        let start = |(rank, (task, folders)): (usize, &(&str, &str))| {
            let mut child = Command::new(std::env::current_exe().expect("this program"))
                .args(["--exact", "tasks::a_rank_does_its_task", "--nocapture"])
                .envs([
                    (TASK, task.trim_start_matches("loading ")),
                    (FOLDERS, folders),
                    (WAIT, &wait.as_millis().to_string()),
                ])
                .env("MLX_RANK", rank.to_string())
                .envs(place(nccl, rank, hosts.path(), &addresses))
                .envs(task.strip_prefix("loading ").map(|_| (LOADS, "1")))
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

/// Kills a rank when `who` tells that it has begun, and hears that the other one is told and goes on by itself.
#[track_caller]
fn killed(victim: usize, who: usize, tasks: [&str; 2], begun: &str) {
    let large = crate::large::snapshot();
    let folder = if begun == "loads" { large.path().to_str().expect("UTF-8") } else { "unified-mxfp4" };
    let mut group = Group::start(&tasks.map(|task| (task, folder)), Duration::from_secs(120));
    assert_eq!(group.hear(who), begun);
    group.ranks[victim].0.kill().expect("a process");
    let killed = Instant::now();
    let survivor = 1 - victim;
    // Rank 0 asks again.
    let times = if survivor == 0 && begun == "answers" { 2 } else { 1 };
    for _ in 0..times {
        let told = group.hear(survivor);
        assert!(told.starts_with(&format!("failed 10 rank {victim} of 2 is gone")), "{told}");
        assert!(killed.elapsed() < SOON);
    }
    assert_eq!(group.hear(survivor), "lives");
    assert!(group.ranks[survivor].0.wait().expect("an end").success());
}

#[test]
fn a_rank_that_is_killed_ends_the_answer_and_no_other_process() {
    killed(1, 0, ["endless", "serve"], "answers");
}

#[test]
fn when_rank_0_is_killed_the_others_are_told() {
    killed(0, 0, ["endless", "serve"], "answers");
}

#[test]
fn a_rank_that_is_killed_in_a_prefill_is_told_of() {
    killed(1, 0, ["prefill", "serve"], "answers");
    killed(0, 0, ["prefill", "serve"], "answers");
}

#[test]
fn a_rank_that_is_killed_in_a_load_is_told_of() {
    killed(1, 1, ["endless", "loading serve"], "loads");
    killed(0, 0, ["loading endless", "serve"], "loads");
}

#[test]
fn a_rank_that_stands_still_is_not_waited_for_without_end() {
    const WAIT: Duration = Duration::from_secs(5);
    let mut group = Group::start(&[("endless", "unified-mxfp4"), ("serve", "unified-mxfp4")], WAIT);
    assert_eq!(group.hear(0), "answers");
    let stopped = Command::new("kill").args(["-STOP", &group.ranks[1].0.id().to_string()]).status();
    assert!(stopped.expect("kill").success());
    let began = Instant::now();
    let told = group.hear(0);
    assert!(told.starts_with("failed 15 the other ranks of the group did nothing for 5 s"), "{told}");
    assert!(began.elapsed() < WAIT + SOON);
}

#[test]
fn a_group_that_does_not_form_is_an_error_in_time() {
    let began = Instant::now();
    let tasks = [("golden", "unified-mxfp4"), ("", "")];
    let mut group = Group::start(&tasks, Duration::from_secs(2));
    let told = group.hear(0);
    let wanted = "failed 15 the group of 2 did not form around rank 0 in 2 s: ";
    // Only a ring's file says who is a neighbour.
    let missing = ["rank 1 did not come", "not all of the others came"];
    assert!(missing.iter().any(|missing| told == format!("{wanted}{missing}")), "{told}");
    assert!(began.elapsed() < SOON);
    assert_eq!(group.hear(0), "lives");
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
