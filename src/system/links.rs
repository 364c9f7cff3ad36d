//! Sockets that a library opened for itself: found among those of the process, watched, and cut.

use std::collections::BTreeSet;
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

/// Handles to connected sockets that are somebody else's.
#[derive(Debug, Default)]
pub struct Links(Vec<Link>);

#[derive(Debug)]
struct Link {
    socket: TcpStream,
    /// Who is at the other end.
    peer: usize,
}

/// The descriptors that the process has open now.
pub fn open_descriptors() -> BTreeSet<RawFd> {
    let listed = std::fs::read_dir("/dev/fd").into_iter().flatten().flatten();
    let listed: Vec<RawFd> = listed.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    // One of them was the list's own.
    // SAFETY: asks for the flags of a descriptor, which fails where there is none.
    listed.into_iter().filter(|fd| unsafe { libc::fcntl(*fd, libc::F_GETFD) } >= 0).collect()
}

/// The local and the remote port of each connected socket of the process.
pub fn connections() -> BTreeSet<(u16, u16)> {
    open_descriptors().into_iter().filter_map(socket).filter_map(|socket| ports(&socket)).collect()
}

fn ports(socket: &TcpStream) -> Option<(u16, u16)> {
    Some((socket.local_addr().ok()?.port(), socket.peer_addr().ok()?.port()))
}

impl Links {
    /// Those of `descriptors` that are connected sockets whose local and remote ports `peer_of` knows, as those of this peer.
    pub fn among(
        descriptors: impl IntoIterator<Item = RawFd>,
        peer_of: impl Fn(u16, u16) -> Option<usize>,
    ) -> Links {
        let link = |fd: RawFd| {
            let socket = socket(fd)?;
            let (local, remote) = ports(&socket)?;
            Some(Link { peer: peer_of(local, remote)?, socket })
        };
        Links(descriptors.into_iter().filter_map(link).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The peers that are gone: they closed a socket, and everything that they had sent has been read.
    pub fn lost(&self) -> BTreeSet<usize> {
        self.0.iter().filter(|link| is_gone(&link.socket)).map(|link| link.peer).collect()
    }

    /// Waits until there is something to read, or a peer is gone. False where nothing came for so long.
    pub fn wait(&self, timeout: Duration) -> bool {
        let poll =
            |link: &Link| libc::pollfd { fd: link.socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let mut polls: Vec<libc::pollfd> = self.0.iter().map(poll).collect();
        let timeout = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the pointer goes with its length, and the sockets are open.
        unsafe { libc::poll(polls.as_mut_ptr(), polls.len() as libc::nfds_t, timeout) > 0 }
    }

    /// Ends the connections, whoever uses them: both ends see them closed.
    pub fn cut(&self) {
        for link in &self.0 {
            // One that is closed already needs nothing.
            let _ = link.socket.shutdown(Shutdown::Both);
        }
    }
}

/// Takes nothing of what is there to be read, and does not wait for it.
fn is_gone(socket: &TcpStream) -> bool {
    let (mut byte, flags) = (0u8, libc::MSG_PEEK | libc::MSG_DONTWAIT);
    // SAFETY: the pointer is to one byte, and the socket is open.
    match unsafe { libc::recv(socket.as_raw_fd(), (&raw mut byte).cast(), 1, flags) } {
        0 => true,
        read if read > 0 => false,
        _ => {
            let error = std::io::Error::last_os_error().kind();
            !matches!(error, std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted)
        }
    }
}

/// Ends whatever waits for a connection at one of the descriptors.
pub fn stop_listening(descriptors: impl IntoIterator<Item = RawFd>, ports: &[u16]) {
    let is_ours = |socket: &TcpStream| {
        socket.local_addr().is_ok_and(|at| ports.contains(&at.port())) && socket.peer_addr().is_err()
    };
    for socket in descriptors.into_iter().filter_map(socket).filter(is_ours) {
        let _ = socket.shutdown(Shutdown::Both);
    }
}

/// A handle of our own to a descriptor, which may be no socket.
fn socket(fd: RawFd) -> Option<TcpStream> {
    // SAFETY: it is only copied here, which fails where it has been closed meanwhile.
    let copy = unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned();
    copy.ok().map(TcpStream::from)
}

/// Runs `work` on a thread that a closed connection does not end the process for, nor those that it starts.
pub fn without_broken_pipes<R>(work: impl FnOnce() -> R) -> R {
    // SAFETY: a set of signals is made here, filled and used; it is the calling thread's own mask that is changed.
    unsafe {
        let mut pipe = std::mem::zeroed();
        libc::sigemptyset(&raw mut pipe);
        libc::sigaddset(&raw mut pipe, libc::SIGPIPE);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const pipe, std::ptr::null_mut());
    }
    work()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    fn connected() -> (TcpStream, TcpStream, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let ours = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let theirs = listener.accept().unwrap().0;
        (ours, theirs, port)
    }

    #[test]
    fn sockets_are_found_by_their_ports_and_seen_to_be_closed() {
        let (mut ours, mut theirs, port) = connected();
        let links = Links::among(open_descriptors(), |_, remote| (remote == port).then_some(7));
        assert_eq!(links.0.len(), 1);
        assert!(connections().contains(&(ours.local_addr().unwrap().port(), port)));
        assert!(!links.wait(Duration::from_millis(1)));
        assert!(links.lost().is_empty());
        theirs.write_all(b"x").unwrap();
        assert!(links.wait(Duration::from_secs(5)));
        drop(theirs);
        assert!(links.wait(Duration::from_secs(5)));
        assert!(links.lost().is_empty(), "there is something to read");
        ours.read_exact(&mut [0]).unwrap();
        assert_eq!(links.lost(), BTreeSet::from([7]));
    }

    #[test]
    fn the_descriptors_are_those_that_stay_open() {
        let file = tempfile::tempfile().unwrap();
        assert!(open_descriptors().contains(&file.as_raw_fd()));
    }

    #[test]
    fn a_link_that_is_cut_is_closed_at_both_ends() {
        let (ours, mut theirs, port) = connected();
        let links = Links::among([ours.as_raw_fd()], |_, remote| (remote == port).then_some(1));
        links.cut();
        assert_eq!(theirs.read(&mut [0]).unwrap(), 0);
        assert_eq!(links.lost(), BTreeSet::from([1]));
    }

    #[test]
    fn what_is_closed_or_no_socket_is_no_link() {
        let file = tempfile::tempfile().unwrap();
        assert!(Links::among([file.as_raw_fd(), 100_000], |_, _| Some(0)).is_empty());
    }
}
