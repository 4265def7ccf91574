use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::Mode;

use super::apart::{PATIENCE, Touch, apart_within};
use super::*;

const SHORT: Duration = Duration::from_millis(20);

fn fifo(path: &Path) {
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
        .unwrap();
}

#[test]
fn regular_files_are_read_up_to_their_bound() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "12345").unwrap();
    assert_eq!(read(&path, 5).unwrap(), b"12345");
    assert_eq!(read(&path, 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    // The file says that it has no length.
    assert_eq!(read(Path::new("/proc/self/environ"), 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    let sparse = fs::File::create(folder.path().join("sparse")).unwrap();
    sparse.set_len(10 << 30).unwrap();
    assert_eq!(read(&folder.path().join("sparse"), 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
}

#[test]
fn directories_devices_and_sockets_are_refused_by_their_kind() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    let link = folder.path().join("link");
    symlink("/dev/zero", &link).unwrap();
    for (path, kind) in [
        (folder.path(), "it is a directory"),
        (socket.as_path(), "it is a socket"),
        (Path::new("/dev/zero"), "it is a device"),
        (&link, "it is a device"),
    ] {
        let error = read(path, 10).unwrap_err().to_string();
        assert!(error.starts_with(kind), "{}: {error}", path.display());
    }
}

#[test]
fn a_named_pipe_is_read_anew_each_time_and_is_not_waited_for_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    fifo(&path);
    assert!(is_pipe(&path));
    for text in ["one", "two"] {
        let writer = path.clone();
        let writing = thread::spawn(move || fs::write(writer, text).unwrap());
        assert_eq!(read(&path, 3).unwrap(), text.as_bytes());
        writing.join().unwrap();
    }
    let began = Instant::now();
    let error = read(&path, 3).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
}

#[test]
fn a_pipe_that_does_not_end_is_left_at_its_bound() {
    let (pipe, mut writer) = io::pipe().unwrap();
    let endless = std::thread::spawn(move || while writer.write_all(&[b'y'; 4096]).is_ok() {});
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&pipe));
    assert_eq!(read(Path::new(&path), 100_000).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    drop(pipe);
    endless.join().unwrap();
}

#[test]
fn what_an_unnamed_pipe_held_is_remembered() {
    let (pipe, mut writer) = io::pipe().unwrap();
    writer.write_all(b"secret").unwrap();
    drop(writer);
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&pipe));
    for _ in 0..2 {
        assert_eq!(read(Path::new(&path), 10).unwrap(), b"secret");
    }
}

#[tokio::test]
async fn a_file_that_does_not_answer_is_named_and_left_alone_until_it_does() {
    let (release, held) = mpsc::channel::<()>();
    let path = Path::new("/nowhere/dead");
    let hang = move || {
        let _touch = Touch::begin(path, SHORT).unwrap();
        held.recv().unwrap_err();
    };
    let error = apart_within(SHORT, SHORT, hang).await.unwrap_err();
    assert!(error.to_string().contains("`/nowhere/dead` does not answer"), "{error}");
    let again = apart(move || Touch::begin(path, SHORT).map(drop)).await.unwrap();
    assert!(again.unwrap_err().to_string().contains("an earlier try has not come back"));
    apart(|| Touch::begin(Path::new("/nowhere/else"), SHORT).map(drop)).await.unwrap().unwrap();
    drop(release);
    while apart(move || Touch::begin(path, SHORT).map(drop)).await.unwrap().is_err() {}
}

#[tokio::test]
async fn work_that_waits_for_no_file_may_take_its_time_and_its_panic_comes_back() {
    let slow = || {
        thread::sleep(5 * SHORT);
        7
    };
    assert_eq!(apart_within(SHORT, SHORT, slow).await.unwrap(), 7);
    let panicking = tokio::spawn(apart(|| panic!("on purpose")));
    assert!(panicking.await.unwrap_err().is_panic());
}

#[test]
fn what_is_written_is_for_its_owner_alone_and_links_stay_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let precious = folder.path().join("precious");
    fs::write(&precious, "precious").unwrap();
    let path = folder.path().join("state/tools/list.json");
    replace(&path, b"1").unwrap();
    fs::write(path.with_extension("json.new"), "left by a crash").unwrap();
    replace(&path, b"1").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    for place in [path.clone(), path.with_extension("json.new")] {
        let _was_there = fs::remove_file(&place);
        symlink(&precious, &place).unwrap();
        replace_durably(&path, b"22").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"22");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
        assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    }
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no draft stays");
}

#[test]
fn a_folder_that_is_a_link_is_not_gone_through_and_the_one_above_may_be_one() {
    let folder = tempfile::tempdir().unwrap();
    let (elsewhere, state) = (folder.path().join("elsewhere"), folder.path().join("state"));
    fs::create_dir_all(elsewhere.join("inner")).unwrap();
    symlink(&elsewhere, &state).unwrap();
    replace(&state.join("tools/list.json"), b"1").unwrap();
    assert!(elsewhere.join("tools/list.json").is_file());
    symlink(elsewhere.join("inner"), elsewhere.join("linked")).unwrap();
    let error = replace(&state.join("linked/list.json"), b"1").unwrap_err();
    assert!(error.to_string().contains("is a link"), "{error}");
    assert_eq!(fs::read_dir(elsewhere.join("inner")).unwrap().count(), 0);
}
