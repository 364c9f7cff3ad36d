#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rmlx_fuzz::targets::saved(data));
