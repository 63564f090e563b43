package dev.twinsync.console;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.Reader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** The console speaks both languages, wholly; every breach is told at once. */
class MessagesTest {

    private static final Path RESOURCES = Path.of("src/main/resources");
    private static final Pattern USED = Pattern.compile("#\\{([a-z0-9_.-]+)[}(]");
    private static final Pattern BUILT = Pattern.compile("(?:#\\{'|@show\\.word\\(')([a-z0-9_.-]+\\.)'");

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

    private static Properties read(String file) throws IOException {
        Properties messages = new Properties();
        try (Reader reader = Files.newBufferedReader(RESOURCES.resolve(file))) {
            messages.load(reader);
        }
        return messages;
    }
}
