//! Tables for reading: a heading and rows, columns aligned with two spaces between them, no rules.

/// Lays out a table. Every row has as many cells as the heading.
pub fn table(heading: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let heading = heading.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
    let rows = std::iter::once(heading).chain(rows).collect::<Vec<_>>();
    let mut widths = vec![0; rows[0].len()];
    for row in &rows {
        assert_eq!(row.len(), widths.len(), "a row has as many cells as the heading");
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            let padding = width - cell.chars().count() + 2;
            line.push_str(cell);
            line.push_str(&" ".repeat(padding));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["µ".to_owned(), "long".to_owned()], vec!["abc".to_owned(), String::new()]];
        assert_eq!(super::table(&["A", "B"], rows), "A    B\nµ    long\nabc\n");
    }
}
