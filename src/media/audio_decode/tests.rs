use super::super::testing::{fnv, level, noise, testdata, wav};
use super::super::{Audio, MediaOptions};
use crate::error::Result;

fn decode(encoded: &[u8]) -> Result<Vec<f32>> {
    super::decode(encoded, &MediaOptions::default()).map(|decoded| decoded.samples)
}

const PCM: u16 = 1;
const FLOAT: u16 = 3;

#[test]
fn integer_and_float_wav_scale_as_documented() {
    let cases: [(u16, u16, Vec<u8>, [f32; 3]); 6] = [
        (PCM, 8, vec![0, 128, 255], [-1.0, 0.0, 127.0 / 128.0]),
        (PCM, 16, vec![0, 0x80, 1, 0, 0xff, 0x7f], [-1.0, 1.0 / 32768.0, 32767.0 / 32768.0]),
        (
            PCM,
            24,
            vec![0, 0, 0x80, 1, 0, 0, 0xff, 0xff, 0x7f],
            [-1.0, 1.0 / 8388608.0, 8388607.0 / 8388608.0],
        ),
        (
            PCM,
            32,
            [i32::MIN, 1 << 8, i32::MAX].iter().flat_map(|v| v.to_le_bytes()).collect(),
            [-1.0, 0.5f32.powi(23), 1.0],
        ),
        (FLOAT, 32, [-2.5f32, 0.1, 1.0].iter().flat_map(|v| v.to_le_bytes()).collect(), [-2.5, 0.1, 1.0]),
        (FLOAT, 64, [-2.5f64, 0.1, 1.0].iter().flat_map(|v| v.to_le_bytes()).collect(), [-2.5, 0.1, 1.0]),
    ];
    for (tag, bits, body, want) in cases {
        assert_eq!(decode(&wav(tag, 1, 16_000, bits, &body)).unwrap(), want, "tag {tag}, {bits} bits");
    }
}

#[test]
fn companded_wav_is_read() {
    for tag in [6, 7] {
        // Their format chunk ends in an extension of no bytes.
        let mut file = wav(tag, 1, 16_000, 8, &noise(100, 2));
        (file[4], file[16]) = (file[4] + 2, 18);
        file.splice(36..36, [0, 0]);
        let samples = decode(&file).unwrap();
        assert_eq!(samples.len(), 100);
        assert!(samples.iter().any(|s| s.abs() > 0.1), "tag {tag}");
    }
}

#[test]
fn every_format_gives_the_tone() {
    // 440 Hz at 0.5 on the left, silence on the right: 0.25 in the mean. LAME by itself turns it down by 5%.
    for (name, length, want) in [
        ("tone.flac", 8000, 0.25),
        ("tone.ogg", 8000, 0.25),
        ("tone.mp3", 8000, 0.25),
        ("tone-untagged.mp3", 8778, 0.2375),
    ] {
        let samples = decode(&testdata(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(samples.len(), length, "{name}");
        let (middle, found) = (&samples[1600..6400], level(&samples[1600..6400], 440.0));
        assert!((found - want).abs() < 0.002, "{name}: {found}");
        assert!(level(middle, 700.0) < 0.002 && level(middle, 220.0) < 0.002, "{name}");
    }
}

#[test]
fn the_encoders_delay_is_cut_off() {
    let exact = decode(&testdata("tone.flac")).unwrap();
    for name in ["tone.ogg", "tone.mp3"] {
        let samples = decode(&testdata(name)).unwrap();
        let worst =
            exact.iter().zip(&samples).skip(400).take(7000).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 0.02, "{name}: {worst}");
    }
}

#[test]
fn a_wav_from_a_pipe_has_the_length_that_is_there() {
    let whole = wav(PCM, 1, 16_000, 16, &noise(200, 2));
    for size in [u32::MAX, 0x7fff_f000] {
        let mut piped = whole.clone();
        piped[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        piped[40..44].copy_from_slice(&size.to_le_bytes());
        assert_eq!(decode(&piped).unwrap(), decode(&whole).unwrap());
    }
}

/// Samples and seconds that were lost.
fn decode_damaged(encoded: &[u8]) -> (Vec<f32>, f64) {
    let decoded = super::decode(encoded, &MediaOptions::default()).unwrap();
    (decoded.samples, decoded.lost_seconds)
}

#[test]
fn half_a_file_is_half_the_sound_and_says_so() {
    let whole = wav(PCM, 2, 16_000, 16, &noise(64_000, 2));
    let all = decode(&whole).unwrap();
    let (half, lost) = decode_damaged(&whole[..44 + 32_000]);
    assert_eq!(half, all[..8_000]);
    assert!((lost - 0.5).abs() < 1e-9, "{lost}");
    assert_eq!(decode_damaged(&whole).1, 0.0);
    let (whole, flac) = (decode(&testdata("tone.flac")).unwrap(), testdata("tone.flac"));
    let (half, lost) = decode_damaged(&flac[..flac.len() / 2]);
    assert!(half.len() > 1_000 && half.len() < whole.len() && lost > 0.1, "{} {lost}", half.len());
}

#[test]
fn a_damaged_page_leaves_the_rest() {
    let file = testdata("pages.opus");
    let whole = decode(&file).unwrap();
    let pages: Vec<usize> = (0..file.len()).filter(|&at| file[at..].starts_with(b"OggS")).collect();
    for page in [3, pages.len() - 1] {
        let mut file = file.clone();
        file[pages[page] + 60] ^= 0xff;
        let (part, _) = decode_damaged(&file);
        assert!(part.len() > 2_000 && part.len() < whole.len(), "{page}: {} of {}", part.len(), whole.len());
    }
}

#[test]
fn streams_one_after_another_are_heard_in_full() {
    for name in ["tone.opus", "tone.ogg"] {
        let one = decode(&testdata(name)).unwrap();
        let two = decode(&[testdata(name), testdata(name)].concat()).unwrap();
        assert_eq!(two.len(), 2 * one.len(), "{name}");
        let again = one[100..].iter().zip(&two[one.len() + 100..]);
        assert!(again.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) < 1e-3, "{name}");
    }
}

#[test]
fn every_container_gives_the_tone() {
    let short = decode(&testdata("short.wav")).unwrap();
    assert_eq!(short.len(), 1600);
    for name in ["short.aiff", "short.caf", "short.au", "short.w64", "short.m4a"] {
        assert_eq!(decode(&testdata(name)).unwrap(), short, "{name}");
    }
    // Matroska adds no samples of its own, and does not always take those away that fill a coder's last packet.
    let exact = decode(&testdata("tone.flac")).unwrap();
    for (name, longer, off) in
        [("tone.mka", 0, 0.0), ("tone-aac.m4a", 0, 0.02), ("tone.opus", 0, 0.05), ("tone.webm", 320, 0.05)]
    {
        let samples = decode(&testdata(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!((exact.len()..=exact.len() + longer).contains(&samples.len()), "{name}: {}", samples.len());
        let between = exact.iter().zip(&samples).skip(400).take(7000);
        let worst = between.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst <= off, "{name}: {worst}");
    }
}

#[test]
fn what_is_not_readable_audio_is_named() {
    for (bytes, says) in [
        (&b""[..], "no bytes"),
        (b"hello world", "begin 68 65 6c 6c 6f"),
        (b"RIFF\0\0\0\0WAVE", "WAV"),
        (b"fLaC", "FLAC"),
        (b"OggS", "OGG"),
        (b"ID3", "MP3"),
        (b"\xff\xfb\x90\x44", "MP3"),
    ] {
        let error = Audio::decode(bytes).unwrap_err();
        assert_eq!(error.code(), crate::error::Code::InvalidMedia);
        assert!(error.message().contains(says) && !error.message().contains('\n'), "{error}");
    }
}

#[test]
fn what_is_not_read_is_refused_by_its_name() {
    // The head of an ADTS frame with six channels, and frames of LATM.
    let mut adts = vec![0xff, 0xf1, 0x4d, 0x80, 0x10, 0x1f, 0xfc];
    adts.resize(128, 0);
    let latm = [&[0x56u8, 0xe0, 0x40][..], &[0; 64]].concat();
    for (file, says) in [(adts.repeat(4), "AAC-LC with 1 and 2 channels"), (latm, "AAC in LATM")] {
        let error = Audio::decode(&file).unwrap_err();
        assert_eq!(error.code(), crate::error::Code::Unsupported, "{error}");
        assert!(
            error.message().contains(says) && error.message().contains("hand over its samples"),
            "{error}"
        );
    }
}

#[test]
fn empty_and_poisoned_and_endless_sounds_are_errors() {
    let error = decode(&wav(PCM, 1, 16_000, 16, b"")).unwrap_err();
    assert!(error.message().contains("no samples"), "{error}");
    let samples = [0.0f32, 0.5, f32::NAN, 0.0];
    let body: Vec<u8> = samples.iter().flat_map(|v| v.to_le_bytes()).collect();
    let error = decode(&wav(FLOAT, 2, 16_000, 32, &body)).unwrap_err();
    assert!(error.message().contains("(NaN) in frame 1"), "{error}");
    let error = decode(&wav(PCM, 1, 1_000, 8, &vec![128; 3_600_001])).unwrap_err();
    assert!(error.message().contains("longer than 3600 seconds"), "{error}");
    let error = decode(&wav(PCM, 1, 900, 8, &[128; 10])).unwrap_err();
    assert!(error.message().contains("900 Hz"), "{error}");
}

/// Compares the files in a folder with what its list says of their samples.
fn compare_with(list: &str, folder: &str) {
    for line in String::from_utf8(testdata(list)).unwrap().lines() {
        let [name, frames, hash] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let samples =
            decode(&testdata(&format!("{folder}/{name}"))).unwrap_or_else(|e| panic!("{name}: {e}"));
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        assert_eq!((samples.len().to_string().as_str(), fnv(&bytes).as_str()), (frames, hash), "{name}");
    }
}

#[test]
fn alac_in_caf_gives_the_samples_that_libsndfile_gives() {
    compare_with("sounds.txt", "sounds");
    let file = testdata("sounds/alac-16.caf");
    let whole = decode(&file).unwrap();
    // Without the second of its two packets.
    let (part, lost) = decode_damaged(&file[..file.len() - 100]);
    assert_eq!(part, whole[..4096]);
    assert!((lost - 4096.0 / 16_000.0).abs() < 1e-9, "{lost}");
    let spoilt = |from: &[u8], to: &[u8]| {
        let mut file = file.clone();
        let at = file.windows(4).position(|window| window == from).unwrap();
        file[at..at + to.len()].copy_from_slice(to);
        decode(&file).unwrap_err().message().to_string()
    };
    assert!(spoilt(b"kuki", b"free").contains("ALAC has no description (kuki)"));
    assert!(spoilt(b"pakt", b"free").contains("no table of its packets (pakt)"));
    assert!(spoilt(b"alac", b"QDM2").contains("QDesign (\"QDM2\", 1 channels)"));
    for at in 0..200 {
        let mut spoilt = file.clone();
        spoilt[at] ^= 0x81;
        drop((decode(&spoilt), decode(&file[..at])));
    }
}

/// Tags as they stand between two files: ID3v1, and ID3v2 whose picture looks like frames.
fn tags() -> Vec<u8> {
    let picture = [0xff, 0xfb, 0x90, 0x64].repeat(100);
    [&b"TAG"[..], &[b'x'; 125], b"ID3\x04\0\0\0\0\x03\x10", &picture].concat()
}

#[test]
fn files_one_behind_another_are_heard_in_full() {
    for (first, second) in [
        ("tone.mp3", "tone.mp3"),
        ("tone.mp3", "tone-untagged.mp3"),
        ("tone-untagged.mp3", "tone.mp3"),
        ("tone.flac", "tone.flac"),
    ] {
        let (one, two) = (decode(&testdata(first)).unwrap(), decode(&testdata(second)).unwrap());
        for between in [&[][..], &tags()] {
            let (both, lost) = decode_damaged(&[&testdata(first)[..], between, &testdata(second)].concat());
            assert_eq!((both.len(), lost), (one.len() + two.len(), 0.0), "{first} {second}");
            let off = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            // Where they meet, they are resampled together, and the second may begin between two samples.
            let (meet, two) = (one.len() - 100, &two[100..]);
            let found = (off(&both[..meet], &one), off(&both[one.len() + 100..], two));
            assert!(found.0 < 1e-4 && found.1 < 0.05, "{first} {second}: {found:?}");
        }
    }
    // Of the second file nothing is left but its head.
    let flac = testdata("tone.flac");
    let (both, lost) = decode_damaged(&[&flac[..], &flac[..100]].concat());
    assert!(both.len() == 8000 && (lost - 0.5).abs() < 0.01, "{} {lost}", both.len());
}

#[test]
fn quicktime_and_mp4_files_give_the_samples_that_ffmpeg_gives() {
    compare_with("movies.txt", "movies");
    let short = decode(&testdata("short.wav")).unwrap();
    // At 96 kHz, and coded.
    for (name, frames, off) in [("version-2.mov", 320, 0.02), ("aac.mov", 1600, 0.08)] {
        let samples = decode(&testdata(&format!("movies/{name}"))).unwrap();
        assert_eq!(samples.len(), frames, "{name}");
        let middle = samples.iter().zip(&short).skip(40).take(frames - 80);
        let worst = middle.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < off, "{name}: {worst}");
    }
}

#[test]
fn edits_are_heard_in_their_order_with_the_silence_between_them() {
    let whole = decode(&testdata("movies/pcm-s16le.mov")).unwrap();
    let (edited, lost) = decode_damaged(&testdata("movies/edits.mov"));
    assert_eq!(edited, [&whole[480..], &[0.0; 160], &whole[..320]].concat());
    assert_eq!(lost, 0.0);
}

#[test]
fn an_edit_list_that_goes_back_without_end_is_refused() {
    let mut file = testdata("movies/edits.mov");
    let at = file.windows(4).position(|window| window == b"edts").unwrap() - 4;
    let old = u32::from_be_bytes(*file[at..].first_chunk().unwrap()) as usize;
    let entry = [&20u32.to_be_bytes()[..], &[0; 4], &[0, 1, 0, 0]].concat();
    let body = [&[0; 4][..], &65u32.to_be_bytes(), &entry.repeat(65)].concat();
    let boxed =
        |kind: &[u8; 4], body: &[u8]| [&(body.len() as u32 + 8).to_be_bytes()[..], kind, body].concat();
    let edits = boxed(b"edts", &boxed(b"elst", &body));
    // Its parents, which come last in the file, grow with it.
    for parent in [b"moov", b"trak"] {
        let start = file.windows(4).position(|window| window == parent).unwrap() - 4;
        let size = u32::from_be_bytes(*file[start..].first_chunk().unwrap()) as usize + edits.len() - old;
        file[start..start + 4].copy_from_slice(&(size as u32).to_be_bytes());
    }
    file.splice(at..at + old, edits);
    let error = decode(&file).unwrap_err();
    assert_eq!(error.code(), crate::error::Code::Unsupported);
    assert!(error.message().contains("goes back 65 times"), "{error}");
}

#[test]
fn what_a_track_holds_in_a_coding_that_is_not_read_is_told_as_lost() {
    let whole = decode(&testdata("movies/pcm-s16le.mov")).unwrap();
    let (part, lost) = decode_damaged(&testdata("movies/two-codings.mov"));
    assert_eq!(part, whole[..part.len()]);
    let missing = (whole.len() - part.len()) as f64 / 16_000.0;
    assert!(!part.is_empty() && missing > 0.0 && (lost - missing).abs() < 1e-9, "{} {lost}", part.len());
}

#[test]
fn an_mp4_that_is_cut_off_gives_what_is_there_and_says_so() {
    // Its index comes first.
    let file = testdata("movies/alac-fragments.mp4");
    let (whole, lost) = decode_damaged(&file);
    assert_eq!((whole.len(), lost), (800, 0.0));
    let spoilt = decode(&file[..file.len() - 600]).unwrap_err();
    assert!(spoilt.message().contains("behind the end"), "{spoilt}");
    // Its samples come first: without the end of its index, then without their own.
    let file = testdata("movies/pcm-s16le.mov");
    let whole = decode(&file).unwrap();
    let at = file.windows(4).position(|window| window == b"mdat").unwrap() + 4;
    let error = decode(&file[..at + 500]).unwrap_err();
    assert!(error.message().contains("moov") && error.message().contains("cut off"), "{error}");
    let error = decode(&file[..file.len() - 4]).unwrap_err();
    assert!(error.message().contains("its index names none, or is cut off"), "{error}");
    let moov = file.windows(4).position(|window| window == b"moov").unwrap() - 4;
    let (head, rest) = (&file[moov..], &file[..moov]);
    let mut moved = [head, rest].concat();
    let chunk = moved.windows(4).position(|window| window == b"stco").unwrap() + 12;
    let offset = u32::from_be_bytes(*moved[chunk..].first_chunk().unwrap()) + head.len() as u32;
    moved[chunk..chunk + 4].copy_from_slice(&offset.to_be_bytes());
    let (half, lost) = decode_damaged(&moved[..offset as usize + 800]);
    assert_eq!(half, whole[..400]);
    assert!((lost - 0.025).abs() < 1e-9, "{lost}");
}

#[test]
fn what_an_mp4_holds_that_is_not_read_is_named() {
    let mut file = testdata("movies/pcm-s16le.mov");
    let at = file.windows(4).position(|window| window == b"sowt").unwrap();
    file[at..at + 4].copy_from_slice(b"QDM2");
    let error = decode(&file).unwrap_err();
    assert_eq!(error.code(), crate::error::Code::Unsupported);
    assert!(error.message().contains("QDesign (\"QDM2\""), "{error}");
    for name in ["alac.mov", "aac.mov", "adpcm-ms.mov", "flac.mp4", "alac-fragments.mp4"] {
        let file = testdata(&format!("movies/{name}"));
        for at in (0..file.len()).step_by(7) {
            let mut spoilt = file.clone();
            spoilt[at] ^= 0x81;
            drop((decode(&spoilt), decode(&file[..at])));
        }
    }
}

/// The pages of an OGG file: where each begins, and the end.
fn pages(file: &[u8]) -> Vec<usize> {
    let starts = (0..file.len()).filter(|&at| file[at..].starts_with(b"OggS"));
    starts.chain([file.len()]).collect()
}

#[test]
fn the_first_page_of_sound_may_be_damaged_and_lost_pages_are_counted() {
    let file = testdata("pages.opus");
    let (whole, lost) = decode_damaged(&file);
    assert_eq!(lost, 0.0);
    let pages = pages(&file);
    for page in 2..pages.len() - 1 {
        let mut spoilt = file.clone();
        spoilt[pages[page] + 40] ^= 0xff;
        let without = [&file[..pages[page]], &file[pages[page + 1]..]].concat();
        for (kind, file) in
            [("spoilt", &spoilt), ("without", &without), ("cut", &spoilt[..pages[page] + 50].to_vec())]
        {
            let is_last = page == pages.len() - 2;
            if kind == "cut" && page == 2 || kind == "without" && is_last {
                continue;
            }
            let (part, lost) = decode_damaged(file);
            let missing = (whole.len() - part.len()) as f64 / 16_000.0;
            // A file tells nothing of what would follow behind its end.
            let most = if kind == "cut" { missing.min(0.1) } else { missing };
            assert!(missing > 0.0 && (lost - most).abs() < 0.06, "{kind} {page}: {lost} for {missing}");
        }
    }
    let mut spoilt = file.clone();
    spoilt[pages[0] + 40] ^= 0xff;
    let error = decode(&spoilt).unwrap_err();
    assert!(error.message().contains("1 of its pages"), "{error}");
}
