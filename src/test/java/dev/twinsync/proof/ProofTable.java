package dev.twinsync.proof;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Comes last under {@code mvn -Pproof verify}: what was done, how often, and what was lost by it. */
@Tag("table")
class ProofTable {

    private static final List<String> RUNS = List.of(
            "every kind of fault",
            " kills",
            "one to four and back",
            "replay of all topics, after one to four",
            "every fault of the network",
            "away for",
            "late commits",
            "soak of",
            "fuzzed pushes",
            "fuzzed answers",
            "fuzzed records");

    @Test
    void nothingWasLost() throws Exception {
        List<String> lines = new ArrayList<>();
        List<String> losses = new ArrayList<>();
        for (String line : Files.readAllLines(Tally.FILE)) {
            String[] row = line.split("\t");
            lines.add(String.format("%-44s %9s %6s %6s  %s", row[0], row[2], row[3], row[4], row[1]));
            if (!row[3].equals("0") || !row[4].equals("0")) {
                losses.add(line);
            }
        }
        System.out.printf("%n%-44s %9s %6s %6s  %s%n", "run", "changes", "lost", "wrong", "what befell it");
        lines.forEach(System.out::println);
        assertThat(losses).isEmpty();
        for (String run : RUNS) {
            assertThat(lines).as("a run that was not made").anyMatch(line -> line.contains(run));
        }
    }
}
