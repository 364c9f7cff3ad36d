//! Who belongs to a group, from what the host says and what `mlx.launch` leaves in the environment.

use std::env;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::super::options::LoadOptions;
use crate::error::{Error, Result};
use crate::json;
use crate::nn::mlx::group::{Backend, set_environment};
use crate::nn::split::Shard;

/// Whether MLX records kernels and starts many at a time. It would make each recording with NCCL's kernels anew, which costs more
/// than starting them one by one. MLX reads it with its first operation.
const GRAPHS: &str = "MLX_USE_CUDA_GRAPHS";

/// How the ranks of a group talk to each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupBackend {
    /// The one that the environment describes.
    #[default]
    Auto,
    /// MLX's `ring`: TCP, or Thunderbolt as a network.
    Ring,
    /// MLX's `jaccl`: RDMA over Thunderbolt.
    Jaccl,
    /// NVIDIA's NCCL.
    Nccl,
    /// An MPI that is installed.
    Mpi,
}

/// A group of processes that run a model together. What is left open is taken from the environment, as `mlx.launch` sets it.
#[derive(Clone, Debug)]
pub struct GroupOptions {
    /// How the ranks talk.
    pub backend: GroupBackend,
    /// Which of the ranks this process is; `MLX_RANK` otherwise.
    pub rank: Option<usize>,
    /// How many ranks there are; told by the host file or `MLX_WORLD_SIZE` otherwise.
    pub size: Option<usize>,
    /// Where the ranks are: for `ring` the path of a host file (`MLX_HOSTFILE` otherwise), for `nccl` the host and port of
    /// rank 0, `host:port` (`NCCL_HOST_IP` and `NCCL_PORT` otherwise), for `jaccl` the path of the file of devices
    /// (`MLX_IBV_DEVICES` otherwise).
    pub address: Option<String>,
    /// How long the others are waited for, when the group forms and in each operation.
    pub timeout: Duration,
}

impl Default for GroupOptions {
    fn default() -> Self {
        let (rank, size, address) = Default::default();
        Self { backend: GroupBackend::Auto, rank, size, address, timeout: Duration::from_secs(60) }
    }
}

/// A group, resolved and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    pub backend: Backend,
    pub shard: Shard,
    /// Ports of each rank's connections, where MLX talks through sockets.
    pub ports: Vec<Vec<u16>>,
    /// What MLX reads of the environment.
    pub variables: Vec<(&'static str, String)>,
    pub timeout: Duration,
}

impl Setup {
    /// Errors: `InvalidArgument` for what is missing, contradicts itself or cannot be read; `Unsupported` for a back end that
    /// this build of MLX has not.
    pub fn resolve(options: &GroupOptions) -> Result<Setup> {
        Self::of(options, |name| env::var(name).ok().filter(|value| !value.is_empty()))
    }

    /// The group that a load is for, if it is for one.
    pub fn of_load(options: &LoadOptions) -> Result<Option<Setup>> {
        options.group.as_ref().map(Setup::resolve).transpose()
    }

    /// Before MLX's first operation: what it reads of the environment then.
    pub fn prepare(&self) {
        if self.backend == Backend::Nccl && env::var_os(GRAPHS).is_none() {
            set_environment(GRAPHS, "0");
        }
    }

    fn of(options: &GroupOptions, var: impl Fn(&str) -> Option<String>) -> Result<Setup> {
        let backend = backend(options.backend, &var)?;
        if !backend.is_available() {
            let message = format!("this build of MLX has no {} back end", backend.name());
            return Err(Error::unsupported(message).with("backend", backend.name()));
        }
        let asked = |own: Option<usize>, names: &[&str]| match own {
            Some(own) => Ok(Some(own)),
            None => names.iter().find_map(|name| Some((*name, var(name)?))).map(number).transpose(),
        };
        let rank = asked(options.rank, &["MLX_RANK", "OMPI_COMM_WORLD_RANK"])?;
        let rank = rank.ok_or_else(|| missing("the rank of this process", "MLX_RANK"))?;
        let size = asked(options.size, &["MLX_WORLD_SIZE", "OMPI_COMM_WORLD_SIZE"])?;
        let mut setup = Setup {
            backend,
            shard: Shard::WHOLE,
            ports: Vec::new(),
            variables: vec![("MLX_RANK", rank.to_string())],
            timeout: options.timeout,
        };
        let address = options.address.clone();
        let found = match backend {
            Backend::Ring => Some(setup.ring(address.or_else(|| var("MLX_HOSTFILE")))?),
            Backend::Jaccl => Some(setup.jaccl(address.or_else(|| var("MLX_IBV_DEVICES")))?),
            Backend::Nccl => {
                let from_environment = || Some(format!("{}:{}", var("NCCL_HOST_IP")?, var("NCCL_PORT")?));
                setup.nccl(address.or_else(from_environment))?;
                None
            }
            Backend::Mpi => None,
        };
        let size = match (size, found) {
            (Some(size), Some(found)) if options.size.is_some() && size != found => {
                let message = format!("the group is to have {size} ranks, and its file names {found}");
                return Err(Error::invalid_argument(message));
            }
            (_, Some(found)) => found,
            (Some(size), None) => size,
            (None, None) => return Err(missing("the number of ranks", "MLX_WORLD_SIZE")),
        };
        setup.shard = Shard::new(rank, size)?;
        if backend == Backend::Nccl {
            setup.variables.push(("MLX_WORLD_SIZE", size.to_string()));
        }
        Ok(setup)
    }

    /// The number of ranks in a host file: `[["host:port", ..], ..]`, one list for each rank.
    fn ring(&mut self, path: Option<String>) -> Result<usize> {
        let path = path.ok_or_else(|| missing("the host file of a ring", "MLX_HOSTFILE"))?;
        let wrong = |what: &str| {
            let message =
                format!("{path} is no host file of a ring, a list of lists of \"host:port\": {what}");
            Error::invalid_argument(message).with("file", path.as_str())
        };
        let ranks: Vec<Vec<String>> = read(Path::new(&path)).map_err(|what| wrong(&what))?;
        let port = |address: &String| {
            let port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
            port.ok_or_else(|| wrong(&format!("{address:?} ends with no port")))
        };
        for addresses in &ranks {
            if addresses.is_empty() || addresses.len() != ranks[0].len() {
                return Err(wrong("each rank must have as many addresses as the others"));
            }
            self.ports.push(addresses.iter().map(port).collect::<Result<_>>()?);
        }
        self.variables.push(("MLX_HOSTFILE", path.clone()));
        Ok(ranks.len())
    }

    /// The number of ranks in a file of devices: a list of lists, one for each rank.
    fn jaccl(&mut self, path: Option<String>) -> Result<usize> {
        let path = path.ok_or_else(|| missing("the file of devices of jaccl", "MLX_IBV_DEVICES"))?;
        let ranks: Vec<Value> = read(Path::new(&path)).map_err(|what| {
            let message = format!("{path} is no file of devices, a list with a list for each rank: {what}");
            Error::invalid_argument(message).with("file", path.as_str())
        })?;
        self.variables.push(("MLX_IBV_DEVICES", path));
        Ok(ranks.len())
    }

    fn nccl(&mut self, address: Option<String>) -> Result<()> {
        let address =
            address.ok_or_else(|| missing("the address of rank 0", "NCCL_HOST_IP and NCCL_PORT"))?;
        let (host, port) = address
            .rsplit_once(':')
            .filter(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
            .ok_or_else(|| {
                Error::invalid_argument(format!("{address:?} is no address: it must be host:port"))
            })?;
        self.variables.extend([("NCCL_HOST_IP", host.to_owned()), ("NCCL_PORT", port.to_owned())]);
        Ok(())
    }

    /// Who is at the other end of a connection between these ports of this end and of the other.
    pub fn peer(&self, local: u16, remote: u16) -> Option<usize> {
        let (rank, size) = (self.shard.rank(), self.shard.size());
        let (right, left) = ((rank + 1) % size, (rank + size - 1) % size);
        let is_of = |rank: usize, port: u16| self.ports.get(rank).is_some_and(|ports| ports.contains(&port));
        if is_of(right, remote) {
            return Some(right);
        }
        is_of(rank, local).then_some(left)
    }
}

fn backend(asked: GroupBackend, var: impl Fn(&str) -> Option<String>) -> Result<Backend> {
    Ok(match asked {
        GroupBackend::Ring => Backend::Ring,
        GroupBackend::Jaccl => Backend::Jaccl,
        GroupBackend::Nccl => Backend::Nccl,
        GroupBackend::Mpi => Backend::Mpi,
        GroupBackend::Auto if var("NCCL_HOST_IP").is_some() => Backend::Nccl,
        GroupBackend::Auto if var("MLX_JACCL_COORDINATOR").is_some() => Backend::Jaccl,
        GroupBackend::Auto if var("MLX_HOSTFILE").is_some() => Backend::Ring,
        GroupBackend::Auto if var("OMPI_COMM_WORLD_RANK").is_some() => Backend::Mpi,
        GroupBackend::Auto => {
            return Err(missing(
                "the back end of the group",
                "what mlx.launch sets (MLX_HOSTFILE, NCCL_HOST_IP)",
            ));
        }
    })
}

fn missing(what: &str, variable: &str) -> Error {
    Error::invalid_argument(format!("{what} is not given, nor is {variable} in the environment"))
}

fn number((name, value): (&str, String)) -> Result<usize> {
    value
        .trim()
        .parse()
        .map_err(|_| Error::invalid_argument(format!("{name} is {value:?}, which is no number")))
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, String> {
    let text = std::fs::read(path).map_err(|error| error.to_string())?;
    json::parse(&text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn resolve(options: &GroupOptions, vars: &[(&str, &str)]) -> Result<Setup> {
        Setup::of(options, |name| Some(vars.iter().find(|(known, _)| *known == name)?.1.to_owned()))
    }

    #[test]
    fn a_ring_is_what_its_file_says() {
        let hosts =
            file(r#"[["127.0.0.1:9001", "127.0.0.1:9002"], ["a:9003", "a:9004"], ["b:9003", "b:9004"]]"#);
        let path = hosts.path().to_str().unwrap();
        let vars = [("MLX_RANK", "1"), ("MLX_HOSTFILE", path)];
        let setup = resolve(&GroupOptions::default(), &vars).unwrap();
        assert_eq!((setup.backend, setup.shard), (Backend::Ring, Shard::new(1, 3).unwrap()));
        assert_eq!(setup.ports[2], [9003, 9004]);
        assert_eq!((setup.peer(50_000, 9003), setup.peer(9004, 50_000)), (Some(2), Some(0)));
        assert_eq!(setup.peer(50_000, 50_001), None);
        let said = GroupOptions {
            backend: GroupBackend::Ring,
            rank: Some(2),
            size: Some(3),
            address: Some(path.to_owned()),
            ..GroupOptions::default()
        };
        let setup = resolve(&said, &[("MLX_RANK", "1")]).unwrap();
        assert_eq!((setup.shard.rank(), &setup.variables[0].1), (2, &"2".to_owned()));
        let more = GroupOptions { size: Some(4), ..said.clone() };
        assert!(resolve(&more, &[]).unwrap_err().message().contains("4 ranks, and its file names 3"));
        let outside = GroupOptions { rank: Some(3), ..said };
        assert!(resolve(&outside, &[]).unwrap_err().message().contains("rank 3 is not one of the 3 ranks"));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let told =
            |vars: &[(&str, &str)]| resolve(&GroupOptions::default(), vars).unwrap_err().message().to_owned();
        assert!(told(&[]).contains("the back end of the group is not given"));
        assert!(told(&[("MLX_HOSTFILE", "/nowhere")]).contains("MLX_RANK"));
        assert!(told(&[("MLX_HOSTFILE", "x"), ("MLX_RANK", "a")]).contains("MLX_RANK is \"a\""));
        assert!(
            told(&[("MLX_HOSTFILE", "/nowhere"), ("MLX_RANK", "0")]).contains("/nowhere is no host file")
        );
        for wrong in [r#"{"a": 1}"#, "[[]]", r#"[["a:1"], ["a:1", "b:2"]]"#, r#"[["a"]]"#, r#"[["a:99999"]]"#]
        {
            let hosts = file(wrong);
            let vars = [("MLX_HOSTFILE", hosts.path().to_str().unwrap()), ("MLX_RANK", "0")];
            assert!(told(&vars).contains("is no host file of a ring"), "{wrong}");
        }
    }
}
