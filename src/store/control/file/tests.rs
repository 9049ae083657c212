use std::os::unix::fs::symlink;

use super::*;

const RUN: ControlledRun = ControlledRun {
    id: RunId(7),
    created_at: Timestamp(1),
};

fn control(action: ControlAction, by: &str) -> Control {
    Control {
        action,
        by: by.into(),
        at: Timestamp(5_000),
        id: format!("{by}-{}", action.name()),
        asker: None,
    }
}

/// The control files of a database with an odd name, beside another one whose name begins alike.
fn site() -> (tempfile::TempDir, ControlFiles) {
    let folder = tempfile::tempdir().unwrap();
    let name = OsStr::from_bytes(b"my \xffnight's.db");
    let database = folder.path().join(name);
    std::fs::write(&database, "").unwrap();
    let mut other = database.clone().into_os_string();
    other.push(".2.db");
    std::fs::write(&other, "").unwrap();
    let others = ControlFiles::of(Path::new(&other)).unwrap();
    others
        .ask(RUN, &control(ControlAction::Cancel, "other"))
        .unwrap();
    let files = ControlFiles::of(&database).unwrap();
    (folder, files)
}

#[test]
fn a_request_arrives_whole_and_is_deleted_when_it_is_obeyed() {
    let (folder, files) = site();
    let before = std::fs::read_dir(folder.path()).unwrap().count();
    for action in ControlAction::ALL {
        files.ask(RUN, &control(action, "anna")).unwrap();
    }
    files
        .ask(RUN, &control(ControlAction::Pause, "bert"))
        .unwrap();
    let (found, unreadable) = files.all().unwrap();
    assert!(unreadable.is_empty(), "{unreadable:?}");
    assert_eq!(found.len(), 2);
    let of_run = files.of_run(RUN.id);
    assert_eq!(of_run[0].control, control(ControlAction::Pause, "bert"));
    assert_eq!(of_run[1].control, control(ControlAction::Cancel, "anna"));
    assert!(files.of_run(RunId(70)).is_empty());
    let path = files.path(ControlAction::Pause, RUN.id, false);
    let mode = std::fs::metadata(path).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o644, "another user reads it");
    for request in of_run {
        assert!(files.begin(&request));
        assert!(files.is_begun(request.control.action, RUN.id));
        let begun = ControlRequest {
            begun: true,
            ..request
        };
        assert_eq!(
            files
                .of_run(RUN.id)
                .iter()
                .filter(|one| **one == begun)
                .count(),
            1
        );
        files.end(begun.control.action, RUN.id).unwrap();
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), before);
}

#[test]
fn a_request_is_taken_back_or_obeyed_and_never_both() {
    let (_folder, files) = site();
    let pause = ControlAction::Pause;
    assert_eq!(files.take_back(pause, RUN.id).unwrap(), TakenBack::Nothing);
    files.ask(RUN, &control(pause, "anna")).unwrap();
    let seen = files.of_run(RUN.id).remove(0);
    assert_eq!(files.take_back(pause, RUN.id).unwrap(), TakenBack::Taken);
    assert!(!files.begin(&seen));
    files.ask(RUN, &control(pause, "anna")).unwrap();
    assert!(files.begin(&files.of_run(RUN.id).remove(0)));
    assert_eq!(files.take_back(pause, RUN.id).unwrap(), TakenBack::TooLate);
}

#[test]
fn what_is_no_request_is_told_and_hangs_nothing() {
    let (folder, files) = site();
    let path = |run| files.path(ControlAction::Pause, RunId(run), false);
    std::fs::write(path(1), "{\"action\":\"pau").unwrap();
    symlink("/dev/zero", path(2)).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        path(3),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    files
        .ask(RUN, &control(ControlAction::Pause, "anna"))
        .unwrap();
    std::fs::copy(path(7), path(8)).unwrap();
    let (found, unreadable) = files.all().unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(unreadable.len(), 4, "{unreadable:?}");
    // What others keep there is none of ours.
    for name in ["pause-0", "pause-x", "pause", "stop-7"] {
        let mut other = files.database.clone().into_os_string();
        other.push(format!(".{name}"));
        std::fs::write(&other, "").unwrap();
    }
    assert_eq!(files.all().unwrap().1.len(), 4);
    drop(folder);
}

#[test]
fn what_a_killed_writer_has_left_goes_and_what_is_being_written_stays() {
    let (_folder, files) = site();
    let mut left = files
        .path(ControlAction::Pause, RUN.id, false)
        .into_os_string();
    left.push(".1f.tmp");
    let left = PathBuf::from(left);
    std::fs::write(&left, "").unwrap();
    files.all().unwrap();
    assert!(left.exists());
    let file = File::options().write(true).open(&left).unwrap();
    let long_ago = file.metadata().unwrap().modified().unwrap() - 2 * LEFT_BEHIND;
    file.set_modified(long_ago).unwrap();
    files.all().unwrap();
    assert!(!left.exists());
}
