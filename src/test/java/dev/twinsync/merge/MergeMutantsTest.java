package dev.twinsync.merge;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.StringWriter;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.stream.Stream;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Takes each rule of the merge away in turn: the schedules must notice, or they prove nothing. */
class MergeMutantsTest {

    private static final Path SOURCES = Path.of("src/main/java/dev/twinsync/merge");

    static Stream<Arguments> mutants() {
        return Stream.of(
                Arguments.of(
                        "believes every reading",
                        "Merge.java",
                        "} else if (ticks.ended() < base.ticks().began()) {",
                        "} else if (true) { fresh(base, row, unusable, true); } else if (false) {"),
                Arguments.of(
                        "passes over what overlaps",
                        "Merge.java",
                        "} else if (!sameRow(base, row, unusable)) {",
                        "} else if (false) {"),
                Arguments.of(
                        "trusts the record's own time",
                        "Merge.java",
                        "if (!base.known() || ticks.began() > base.ticks().ended()) {",
                        "if (!base.known() || base.position() == null || observation.position().compareTo(base.position()) >= 0) {"),
                Arguments.of(
                        "lets any reading settle a doubt",
                        "Merge.java",
                        "fresh(base, row, unusable, ticks.began() > base.doubtAt());",
                        "fresh(base, row, unusable, true);"),
                Arguments.of(
                        "takes a rendering for an edit",
                        "Merge.java",
                        "boolean rendering = ours && base.sent().containsKey(path) && !intended;",
                        "boolean rendering = false;"),
                Arguments.of(
                        "takes its own unanswered write for an edit",
                        "Merge.java",
                        "if (Due.same(intent, value)) {",
                        "if (false) {"),
                Arguments.of(
                        "takes damage for an edit",
                        "Merge.java",
                        "if (observation.kind() == Observation.Kind.REPAIR && !moved(base)) {",
                        "if (false) {"),
                Arguments.of(
                        "mends nothing",
                        "Merge.java",
                        "Due.paths(schema, before, found).forEach(path -> mend(path, held.get(path)));",
                        "mended.clear(); if (true) { return; }"),
                Arguments.of(
                        "takes an echo for an edit",
                        "Merge.java",
                        "boolean echo = Due.same(value, was);",
                        "boolean echo = false;"),
                Arguments.of(
                        "settles a status by time",
                        "Merge.java",
                        "forward(path, value, golden, field.flow(), base, reading, seen);",
                        "newest(path, value, golden, seen, rule);"),
                Arguments.of(
                        "forgets what was overwritten",
                        "Merge.java",
                        "conflicts.add(new Conflict(",
                        "new ArrayList<Conflict>().add(new Conflict("),
                Arguments.of(
                        "believes that every system has seen everything",
                        "Merge.java",
                        "boolean seen = operator || unset",
                        "boolean seen = true || operator || unset"),
                Arguments.of(
                        "does not tell what is sent from what is held",
                        "Due.java",
                        "return !(base.sent().containsKey(path) && same(wanted, nullable(base.sent().get(path))));",
                        "return true;"),
                Arguments.of("keeps no intent", "Writes.java", "intents.put(path, List.copyOf(known));", ""),
                Arguments.of("does not ask in doubt", "Due.java", "return base.doubt() ||", "return"));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("mutants")
    void aMergeThatBreaksARuleIsCaught(String name, String file, String rule, String broken, @TempDir Path folder)
            throws Exception {
        try (URLClassLoader mutant = mutant(file, rule, broken, folder)) {
            Class<?> world = mutant.loadClass("dev.twinsync.merge.World");
            var make = world.getDeclaredConstructor(long.class, int.class);
            var run = world.getDeclaredMethod("run");
            var damaged = world.getDeclaredMethod("damaged");
            damaged.setAccessible(true);
            var broke = world.getDeclaredField("broken");
            make.setAccessible(true);
            run.setAccessible(true);
            broke.setAccessible(true);
            var race = mutant.loadClass("dev.twinsync.merge.Race").getDeclaredMethod("outcomes", long.class);
            race.setAccessible(true);
            Collection<?> found = List.of();
            for (long seed = 0; seed < 6000 && found.isEmpty(); seed++) {
                Object schedule = make.newInstance(seed, 2 + (int) (seed % 2));
                found = (Collection<?>) broke.get((seed % 4 == 0 ? damaged : run).invoke(schedule));
                Collection<?> outcomes = (Collection<?>) race.invoke(null, seed);
                if (outcomes.size() > 1) {
                    found = outcomes;
                }
            }
            assertThat(found).as("a merge that %s", name).isNotEmpty();
        }
    }

    private static URLClassLoader mutant(String file, String rule, String broken, Path folder) throws IOException {
        List<String> arguments = new ArrayList<>(List.of(
                "-proc:none",
                "-nowarn",
                "-parameters",
                "-d",
                folder.toString(),
                "-cp",
                System.getProperty("java.class.path")));
        Path sources = Files.createDirectory(folder.resolve("sources"));
        try (Stream<Path> all = Files.list(SOURCES)) {
            for (Path source : all.filter(p -> !p.endsWith("package-info.java")).toList()) {
                String text = Files.readString(source);
                if (source.endsWith(file)) {
                    String before = text;
                    // the formatter may have broken the line: white space does not count
                    text = text.replaceFirst(loose(rule), java.util.regex.Matcher.quoteReplacement(broken));
                    assertThat(text).as("%s no longer holds: %s", file, rule).isNotEqualTo(before);
                }
                Path copy = Files.writeString(sources.resolve(source.getFileName()), text);
                arguments.add(copy.toString());
            }
        }
        for (String test : List.of("World", "Race", "TestSchema")) {
            arguments.add("src/test/java/dev/twinsync/merge/" + test + ".java");
        }
        StringWriter messages = new StringWriter();
        boolean compiled = ToolProvider.getSystemJavaCompiler()
                .getTask(
                        messages,
                        null,
                        null,
                        arguments.subList(0, 7),
                        null,
                        files(arguments.subList(7, arguments.size())))
                .call();
        assertThat(compiled).as(messages.toString()).isTrue();
        URL[] first = {folder.toUri().toURL()};
        return new URLClassLoader(first, MergeMutantsTest.class.getClassLoader()) {
            @Override
            protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
                if (name.startsWith("dev.twinsync.merge.")) {
                    Class<?> known = findLoadedClass(name);
                    return known != null ? known : findClass(name);
                }
                return super.loadClass(name, resolve);
            }
        };
    }

    private static Iterable<? extends javax.tools.JavaFileObject> files(List<String> paths) {
        return ToolProvider.getSystemJavaCompiler()
                .getStandardFileManager(null, null, null)
                .getJavaFileObjects(paths.toArray(String[]::new));
    }

    private static String loose(String rule) {
        return Stream.of(rule.split("\\s+"))
                .map(java.util.regex.Pattern::quote)
                .reduce((a, b) -> a + "\\s+" + b)
                .orElseThrow();
    }
}
