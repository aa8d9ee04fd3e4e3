//! Embeds the pages for browsers: compresses the files of `pages/` and generates the table by which `src/pages` serves them.
//!
//! Each `NAME.html` is a page, and the files of the subdirectories are its assets. Every URL of an asset contains a digest of all
//! files, so that browsers can cache assets forever and never combine those of two versions. Only compressed files are embedded,
//! which keeps the executable small.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use flate2::{Compression, GzBuilder};

/// The media types of the embedded files, by extension. Files with another extension, such as README.md, are not embedded.
const MEDIA_TYPES: [(&str, &str); 4] = [
    ("css", "text/css; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("svg", "image/svg+xml"),
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=pages");
    let source = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("pages");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let version = env::var("CARGO_PKG_VERSION")?;

    let mut files = Vec::new();
    collect(&source, "", &mut files)?;
    files.sort_by(|left, right| left.name.cmp(&right.name));
    let digest = digest(&files, &version);

    let mut table = format!(
        "/// The digest of all files, part of the URLs of assets.\npub(super) const DIGEST: &str = \"{digest}\";\n"
    );
    table.push_str("/// All files, in the order of their names.\npub(super) static FILES: &[File] = &[\n");
    for (index, file) in files.iter().enumerate() {
        let bytes = if Path::new(&file.name).extension().is_some_and(|extension| extension == "html") {
            resolve(&String::from_utf8(file.bytes.clone())?, &digest, &version).into_bytes()
        } else {
            file.bytes.clone()
        };
        // Without a time and a name, so that equal sources give equal executables.
        let mut gzip = GzBuilder::new().write(Vec::new(), Compression::best());
        gzip.write_all(&bytes)?;
        fs::write(out.join(format!("{index}.gz")), gzip.finish()?)?;
        let File { name, media_type, .. } = file;
        writeln!(
            table,
            "File {{ name: {name:?}, media_type: {media_type:?}, length: {}, gzip: include_bytes!(\"{index}.gz\") }},",
            bytes.len()
        )?;
    }
    table.push_str("];\n");
    fs::write(out.join("pages.rs"), table)?;
    Ok(())
}

struct File {
    /// The path below `pages/`, with `/` between its parts.
    name: String,
    media_type: &'static str,
    bytes: Vec<u8>,
}

/// Adds the files of a directory and of those below it.
fn collect(directory: &Path, prefix: &str, files: &mut Vec<File>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let Some(file_name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let name = format!("{prefix}{file_name}");
        if path.is_dir() {
            collect(&path, &format!("{name}/"), files)?;
            continue;
        }
        let extension = path.extension().and_then(|extension| extension.to_str());
        if let Some(&(_, media_type)) = MEDIA_TYPES.iter().find(|(known, _)| Some(*known) == extension) {
            files.push(File { name, media_type, bytes: fs::read(&path)? });
        }
    }
    Ok(())
}

/// Inserts the digest into the URLs of assets, which an HTML file writes as `assets/NAME`, and the version at `%VERSION%`.
fn resolve(html: &str, digest: &str, version: &str) -> String {
    html.replace("\"assets/", &format!("\"assets/{digest}/")).replace("%VERSION%", version)
}

/// Returns the FNV-1a digest, 64 bits in hexadecimal digits, of the version, all names and all contents. It only has to differ
/// between two versions of the pages, for which no cryptographic hash is needed.
fn digest(files: &[File], version: &str) -> String {
    let parts = files.iter().flat_map(|file| [file.name.as_bytes(), file.bytes.as_slice()]);
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    for part in std::iter::once(version.as_bytes()).chain(parts) {
        let length = (part.len() as u64).to_le_bytes();
        for byte in length.iter().chain(part) {
            state = (state ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    format!("{state:016x}")
}
