package dev.twinsync.console;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import java.io.IOException;
import java.io.Reader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** The console speaks both languages, wholly; every breach is told at once. */
class MessagesTest {

    private static final Path RESOURCES = Path.of("src/main/resources");
    private static final Pattern USED = Pattern.compile("#\\{([a-z0-9_.-]+)[}(]");
    private static final Pattern BUILT = Pattern.compile("(?:#\\{'|@show\\.word\\(')([a-z0-9_.-]+\\.)'");

    private static final Pattern ACT = Pattern.compile("\\b[Aa]ct\\([^;{]*?\"([a-z]+\\.[a-z-]+)\"");

    @Test
    void everyMessageOfAPageIsThereInBothLanguages() throws IOException {
        Properties english = read("messages.properties");
        Properties chinese = read("messages_zh_CN.properties");
        List<String> breaches = new ArrayList<>();
        english.stringPropertyNames().stream()
                .filter(key -> !chinese.containsKey(key))
                .forEach(key -> breaches.add(key + " is not there in Chinese"));
        chinese.stringPropertyNames().stream()
                .filter(key -> !english.containsKey(key))
                .forEach(key -> breaches.add(key + " is not there in English"));
        for (Properties messages : List.of(english, chinese)) {
            messages.forEach((key, text) -> {
                // a message with arguments is a MessageFormat, where a lone apostrophe quotes
                if (text.toString().contains("{")
                        && text.toString().replace("''", "").contains("'")) {
                    breaches.add(key + ": write the apostrophe twice, or ’");
                }
            });
        }
        try (Stream<Path> templates = Files.walk(RESOURCES.resolve("templates"))) {
            for (Path template : templates.filter(Files::isRegularFile).toList()) {
                String text = Files.readString(template);
                for (Matcher used = USED.matcher(text); used.find(); ) {
                    if (!english.containsKey(used.group(1))) {
                        breaches.add(template.getFileName() + ": no message " + used.group(1));
                    }
                }
                for (Matcher built = BUILT.matcher(text); built.find(); ) {
                    if (english.stringPropertyNames().stream().noneMatch(key -> key.startsWith(built.group(1)))) {
                        breaches.add(template.getFileName() + ": no messages " + built.group(1) + "*");
                    }
                }
            }
        }
        assertThat(breaches).isEmpty();
    }

    @Test
    void everyActHasItsWordsInTheAudit() throws IOException {
        Properties english = read("messages.properties");
        List<String> acts = new ArrayList<>();
        try (Stream<Path> sources = Files.walk(Path.of("src/main/java"))) {
            for (Path source : sources.filter(Files::isRegularFile).toList()) {
                for (Matcher act = ACT.matcher(Files.readString(source)); act.find(); ) {
                    acts.add(act.group(1));
                }
            }
        }
        assertThat(acts).contains("letter.retry", "flow.pause", "record.reveal", "capture.switch");
        assertThat(acts).allSatisfy(act -> assertThat(english).containsKey("act." + act));
    }

    /** A sentence that was changed where it is said would be shown in English, and nobody would notice. */
    @Test
    void everySentenceInChineseIsOneThatTheServiceSays() throws IOException {
        StringBuilder said = new StringBuilder();
        try (Stream<Path> sources = Files.walk(Path.of("src/main/java"))) {
            for (Path source : sources.filter(Files::isRegularFile).toList()) {
                said.append(Files.readString(source).replaceAll("\"\\s*\\+\\s*\"", ""));
            }
        }
        descriptions().forEach(said::append);
        List<String> breaches = new ArrayList<>();
        int sentences = 0;
        for (String line : Files.readAllLines(RESOURCES.resolve("sentences_zh_CN.txt"))) {
            if (line.isBlank() || line.startsWith("#")) {
                continue;
            }
            sentences++;
            String[] both = line.split(" => ");
            if (both.length != 2 || !holes(both[1]).equals(holes(both[0]))) {
                breaches.add(line + ": both sides have the same holes");
            }
            for (String part : both[0].split("\\{\\d}")) {
                if (part.length() > 3 && !said.toString().contains(part)) {
                    breaches.add(line + ": nobody says “" + part + "”");
                }
            }
        }
        assertThat(breaches).isEmpty();
        assertThat(sentences).isGreaterThan(100);
    }

    /** The flows that ship are told of in Chinese as well; an integrator's own are shown as they are written. */
    @Test
    void everyFlowThatShipsIsToldOfInChinese() throws IOException {
        Sentences sentences = new Sentences();
        assertThat(descriptions()).hasSizeGreaterThan(45).allSatisfy(description -> assertThat(
                        sentences.in(Locale.SIMPLIFIED_CHINESE, description, code -> "某"))
                .isNotEqualTo(description));
        assertThat(sentences.in(Locale.SIMPLIFIED_CHINESE, "Does what I say.", code -> "某"))
                .isEqualTo("Does what I say.");
    }

    private static List<String> descriptions() throws IOException {
        List<String> descriptions = new ArrayList<>();
        try (Stream<Path> routes = Files.walk(Path.of("routes"))) {
            for (Path route : routes.filter(file -> file.toString().endsWith(".camel.yaml"))
                    .toList()) {
                for (JsonNode part : new YAMLMapper().readTree(route.toFile())) {
                    if (part.path("route").has("description")) {
                        descriptions.add(part.path("route").path("description").asText());
                    }
                }
            }
        }
        return descriptions;
    }

    private static Set<String> holes(String sentence) {
        return Pattern.compile("\\{(?:[a-z.]+:)?(\\d)}")
                .matcher(sentence)
                .results()
                .map(hole -> hole.group(1))
                .collect(Collectors.toCollection(TreeSet::new));
    }

    private static Properties read(String file) throws IOException {
        Properties messages = new Properties();
        try (Reader reader = Files.newBufferedReader(RESOURCES.resolve(file))) {
            messages.load(reader);
        }
        return messages;
    }
}
