//! A disk by itself.

use super::*;

fn disk(blocks: u64, io: DiskIo) -> Result<Disk> {
    Disk::create(&folder(None), Size(blocks * PAGE_SIZE as u64), io)
}

#[test]
fn a_disk_holds_what_its_seed_says_and_what_was_written_last() {
    let content = ContentSpec {
        zero: 0.5,
        ..ContentSpec::default()
    };
    let write = |page, value| PageWrite {
        at_ns: 0,
        page,
        value,
    };
    // In turns zero and not, some chunks are; a part of a chunk is left.
    for io in [DiskIo::Cached, DiskIo::Direct] {
        let (one, two) = match (disk(2500, io), disk(2500, io)) {
            (Ok(one), Ok(two)) => (one, two),
            (Err(error), _) | (_, Err(error)) => {
                assert!(error.to_string().contains("storage.io"), "{error}");
                eprintln!("skipped: {error}");
                continue;
            }
        };
        assert_ne!(one.blocks(), 0);
        one.fill(&content, 7).unwrap();
        two.fill(&content, 7).unwrap();
        assert_eq!(one.hash().unwrap(), two.hash().unwrap());
        one.replay(&[write(3, 9), write(2499, 1), write(3, 4)])
            .unwrap();
        assert_ne!(one.hash().unwrap(), two.hash().unwrap());
        two.replay(&[write(3, 4), write(2499, 1)]).unwrap();
        assert_eq!(one.hash().unwrap(), two.hash().unwrap());
        let other = disk(2500, io).unwrap();
        other.fill(&content, 8).unwrap();
        assert_ne!(one.hash().unwrap(), other.hash().unwrap());
    }
}

#[test]
fn holes_are_told_from_content_and_from_what_is_no_longer_there() {
    let disk = disk(8, DiskIo::Cached).unwrap();
    let block = block().unwrap();
    let run = |first, pages| PageRun { first, pages };
    assert!(disk.is_hole(run(0, 8)).unwrap());
    let write = PageWrite {
        at_ns: 0,
        page: 4,
        value: 1,
    };
    write_content(&block, &write);
    disk.execute(&block, &write).unwrap();
    assert!(!disk.is_hole(run(0, 8)).unwrap() && disk.is_hole(run(0, 4)).unwrap());
    let staging = GuestMemory::new(Size(4 * PAGE_SIZE as u64), false).unwrap();
    disk.read(3, &staging, run(1, 2)).unwrap();
    assert!(staging.is_zero(1) && !staging.is_zero(2) && staging.is_zero(3));
    disk.file.set_len(5 * PAGE_SIZE as u64 + 7).unwrap();
    let short = "the guest's disk, reading at byte 16384: it ended after 4103 of 16384 bytes";
    let error = disk.read(4, &staging, run(0, 4)).unwrap_err();
    assert_eq!(error.to_string(), short);
    let error = disk.is_hole(run(5, 2)).unwrap_err().to_string();
    assert!(error.ends_with("it ended after 7 of 8192 bytes"), "{error}");
}

#[test]
fn a_disk_that_has_no_room_is_refused_with_both_figures() {
    let error = Disk::create(&folder(None), Size(1 << 60), DiskIo::Cached)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("storage.size = ")
            && error.contains(": disks need 1099511627776 MiB in ")
            && error.ends_with(" MiB free"),
        "{error}"
    );
}
