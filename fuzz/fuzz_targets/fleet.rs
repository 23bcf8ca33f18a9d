#![no_main]

#[path = "../../tests/properties/fleet.rs"]
mod property;
#[path = "../../tests/properties/refusal.rs"]
mod refusal;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    property::check(input);
});
