use super::*;

fn table() -> Table {
    Table::new(
        "t",
        "A <caption>",
        vec![
            Column::text("arm"),
            Column::figures("blocks", ""),
            Column::figures("time", "ms"),
            Column::sentences("why"),
        ],
        vec![
            vec![
                Cell::arm(Arm::PLAIN),
                Cell::count(5),
                Cell::figure("1.5", 1.5).under("1 to 2"),
                Cell::text(""),
            ],
            vec![
                Cell::text("a\u{1b}[1m|b"),
                Cell::count(10),
                Cell::none(),
                Cell::text("It failed."),
            ],
        ],
    )
}

#[test]
fn a_terminal_gets_aligned_columns_with_sentences_under_their_row() {
    let expected = "A <caption>\narm      blocks  time\n                 ms\n\
                    plain         5  1.5 (1 to 2)\n\
                    a [1m|b      10  –\n    It failed.\n";
    assert_eq!(table().terminal(), expected);
    let mut bare = table();
    bare.caption.clear();
    bare.columns = [""; 4].map(Column::text).to_vec();
    assert_eq!(
        bare.terminal().lines().count(),
        2,
        "no heading: no line for it"
    );
}

#[test]
fn markdown_and_pages_hold_the_same_cells_as_text() {
    let markdown = table().markdown();
    let expected = "A &lt;caption&gt;\n\n| arm | blocks | time, ms | why |\n";
    assert!(markdown.starts_with(expected), "{markdown}");
    assert!(markdown.contains("| 1.5 (1 to 2) |") && markdown.contains("\\|b |"));
    let page = table().html().into_string();
    assert!(page.contains("<table id=\"t\" class=\"data\"><caption>A &lt;caption&gt;<"));
    let cell = "<td class=\"num\" data-value=\"1.5\">1.5<small>1\u{a0}to\u{a0}2</small></td>";
    assert!(page.contains(cell), "{page}");
}

#[test]
fn rows_of_a_group_stand_under_its_text() {
    let columns = vec![Column::group("point"), Column::text("arm")];
    let row = |point: &str, arm: &str| vec![Cell::text(point), Cell::text(arm)];
    let rows = vec![row("x 1", "a"), row("x 1", "b"), row("x 2", "a")];
    let table = Table::new("t", "", columns, rows);
    assert_eq!(table.terminal(), "arm\nx 1\na\nb\nx 2\na\n");
    assert!(
        table
            .markdown()
            .ends_with("| x 1 | a |\n| x 1 | b |\n| x 2 | a |\n")
    );
}

#[test]
fn what_cells_rest_on_is_said_once_and_again_only_where_it_differs() {
    let cell = |basis: &str| Cell::text("1").under("0 to 2").resting_on(basis);
    let table = |bases: &[&str]| {
        let rows = bases.iter().map(|basis| vec![cell(basis)]).collect();
        Table::new("t", "Taxes", vec![Column::figures("tax", "")], rows).terminal()
    };
    assert_eq!(
        table(&["n 6", "n 6"]),
        "Taxes (n 6)\ntax\n1 (0 to 2)\n1 (0 to 2)\n"
    );
    assert_eq!(
        table(&["n 5", "n 6", "n 6"]),
        "Taxes (n 6 unless a cell says otherwise)\n\
         tax\n1 (0 to 2, n 5)\n1 (0 to 2)\n1 (0 to 2)\n"
    );
}
