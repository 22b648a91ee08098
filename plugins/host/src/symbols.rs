//! Which symbols a library exports, read from its file: no code of it runs.
//!
//! The loader finds a symbol by the tables that the dynamic segment points to, and so does this; section
//! headers are of no use to it and may be missing.
//!
//! Layouts: System V ABI, chapter "Dynamic Linking".

use elf::{
    ElfBytes, ParseError,
    abi::{DT_GNU_HASH, DT_HASH, DT_STRTAB, DT_SYMTAB, PT_LOAD, SHN_UNDEF},
    endian::NativeEndian,
    hash::{GnuHashTable, SysVHashTable},
    segment::ProgramHeader,
    string_table::StringTable,
    symbol::{Symbol, SymbolTable},
};

/// Whether a library for this kind of machine exports a symbol of this name.
///
/// # Errors
///
/// When the file is not ELF, or its tables are damaged.
pub(crate) fn exports(library: &[u8], name: &str) -> Result<bool, ParseError> {
    let file = ElfBytes::<NativeEndian>::minimal_parse(library)?;
    let (class, endian) = (file.ehdr.class, file.ehdr.endianness);
    let Some(dynamic) = file.dynamic()? else { return Ok(false) };
    let table = |tag| {
        let entry = dynamic.iter().find(|entry| entry.d_tag == tag)?;
        let segments = file.segments()?.iter();
        let offset = segments.into_iter().find_map(|segment| offset(&segment, entry.d_ptr()))?;
        library.get(usize::try_from(offset).ok()?..)
    };
    let (Some(symbols), Some(strings)) = (table(DT_SYMTAB), table(DT_STRTAB)) else {
        return Ok(false);
    };
    let symbols: SymbolTable<'_, NativeEndian> = SymbolTable::new(endian, class, symbols);
    let strings = StringTable::new(strings);
    let found: Option<(usize, Symbol)> = if let Some(hashes) = table(DT_GNU_HASH) {
        GnuHashTable::new(endian, class, hashes)?.find(name.as_bytes(), &symbols, &strings)?
    } else if let Some(hashes) = table(DT_HASH) {
        SysVHashTable::new(endian, class, hashes)?.find(name.as_bytes(), &symbols, &strings)?
    } else {
        None
    };
    Ok(found.is_some_and(|(_, symbol)| symbol.st_shndx != SHN_UNDEF))
}

/// Where in the file the byte is that a segment maps to an address.
fn offset(segment: &ProgramHeader, address: u64) -> Option<u64> {
    let within = address.checked_sub(segment.p_vaddr)?;
    let is_inside = segment.p_type == PT_LOAD && within < segment.p_filesz;
    is_inside.then(|| segment.p_offset.checked_add(within)).flatten()
}

#[cfg(test)]
mod tests {
    use hyperfake_plugin_fixtures::broken;

    use super::*;

    #[test]
    fn a_symbol_is_found_in_the_file_with_and_without_section_headers() {
        let mut library = std::fs::read(broken("well").path()).unwrap();
        for _ in 0..2 {
            assert!(exports(&library, "hyperfake_plugin").unwrap());
            // The C library's, which this one needs, and one that nothing has.
            assert!(!exports(&library, "malloc").unwrap());
            assert!(!exports(&library, "hyperfake").unwrap());
            // Where section headers are, their length, and how many.
            library[40..48].fill(0);
            library[58..64].fill(0);
        }
    }

    #[test]
    fn a_damaged_library_exports_nothing_and_does_no_harm() {
        let whole = std::fs::read(broken("well").path()).unwrap();
        let mut random = 1_u64;
        for _ in 0..2000 {
            let mut damaged = whole.clone();
            for _ in 0..20 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                // Headers and tables stand at the beginning.
                let place = (random >> 33) as usize % damaged.len().min(4096);
                damaged[place] = (random >> 56) as u8;
            }
            let _ = exports(&damaged, "hyperfake_plugin");
        }
        for length in 0..whole.len().min(2000) {
            assert!(!exports(&whole[..length], "hyperfake_plugin").unwrap_or(false), "{length}");
        }
    }
}
