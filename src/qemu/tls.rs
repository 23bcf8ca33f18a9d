//! stub
pub struct Negotiated {
    pub protocol: String,
    pub cipher_suite: String,
}
pub fn negotiated(_s: &str) -> Option<Negotiated> {
    None
}
pub fn library(_pid: u32) -> Option<String> {
    None
}
