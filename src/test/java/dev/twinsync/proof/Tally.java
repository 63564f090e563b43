package dev.twinsync.proof;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicInteger;

/** What a run did, how often, and what was lost by it: one line each, kept under target/proof for the table. */
final class Tally {

    static final Path FILE = Path.of("target", "proof", "table.tsv");

    private final Map<String, AtomicInteger> hits = new TreeMap<>();
    final String run;
    private final Path schedule;

    /** @param schedule the file that takes what happened, and when */
    Tally(String run, Path schedule) {
        this.run = run;
        this.schedule = schedule;
        begins(run);
    }

    /** Until its own line is kept, a run counts as one that did not end. */
    static void begins(String run) {
        line(run, "it did not end", 0, 1, 0);
    }

    /** A fault that has met something. */
    void hit(String fault) {
        hits.computeIfAbsent(fault, f -> new AtomicInteger()).incrementAndGet();
        tell(fault);
    }

    /** What is of interest in the schedule alone. */
    void tell(String what) {
        append(schedule, Instant.now() + " " + what);
    }

    int hits(String fault) {
        return hits.getOrDefault(fault, new AtomicInteger()).get();
    }

    /** Keeps the line of the run. */
    void keep(int changes, List<String> lost, List<String> wrong) {
        String fault = String.join(
                ", ",
                hits.entrySet().stream()
                        .map(hit -> hit.getValue() + " × " + hit.getKey())
                        .toList());
        line(run, fault, changes, lost.size(), wrong.size());
    }

    /**
     * One line of the table; a run's former line gives way to it.
     *
     * @param count changes that were acknowledged, or cases that were tried
     */
    static synchronized void line(String run, String what, int count, int lost, int wrong) {
        try {
            List<String> lines = new ArrayList<>(Files.exists(FILE) ? Files.readAllLines(FILE) : List.of());
            lines.removeIf(line -> line.startsWith(run + '\t'));
            lines.add(String.join("\t", run, what, String.valueOf(count), String.valueOf(lost), String.valueOf(wrong)));
            Files.createDirectories(FILE.getParent());
            Files.write(FILE, lines);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static void append(Path file, String line) {
        try {
            Files.createDirectories(file.getParent());
            Files.writeString(
                    file, line + '\n', StandardCharsets.UTF_8, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
