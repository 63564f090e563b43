package dev.twinsync.console;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.UnaryOperator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.springframework.core.io.ClassPathResource;
import org.springframework.stereotype.Component;

/**
 * What the service says in English where a call asks (why something is refused, what a letter is of, what a diagnosis
 * found), in the reader's language. {@code sentences_<language>.txt} holds a line a sentence: {@code English => other}, with
 * {0} for what varies, and {letter:0} for a word of ours, the message {@code letter.<word>}. What is in no line stays.
 */
@Component
class Sentences {

    private static final Pattern HOLE = Pattern.compile("\\{(?:([a-z.]+):)?(\\d)}");

    private record Sentence(Pattern english, String other) {}

    private final Map<String, List<Sentence>> known = new ConcurrentHashMap<>();

    /** @param word gives the message of a code */
    String in(Locale reader, String sentence, UnaryOperator<String> word) {
        for (Sentence one : known.computeIfAbsent(reader.toLanguageTag().replace('-', '_'), Sentences::read)) {
            Matcher said = one.english().matcher(sentence);
            if (said.matches()) {
                return HOLE.matcher(one.other())
                        .replaceAll(hole -> Matcher.quoteReplacement(
                                hole.group(1) == null
                                        ? in(reader, said.group("a" + hole.group(2)), word)
                                        : word.apply(hole.group(1) + '.' + said.group("a" + hole.group(2)))));
            }
        }
        return sentence;
    }

    private static List<Sentence> read(String language) {
        ClassPathResource file = new ClassPathResource("sentences_" + language + ".txt");
        List<Sentence> sentences = new ArrayList<>();
        if (!file.exists()) {
            return sentences;
        }
        try {
            for (String line :
                    file.getContentAsString(StandardCharsets.UTF_8).lines().toList()) {
                if (line.isBlank() || line.startsWith("#")) {
                    continue;
                }
                String[] both = line.split(" => ", 2);
                if (both.length < 2) {
                    throw new IllegalStateException(file.getPath() + ": write English => other: " + line);
                }
                sentences.add(new Sentence(pattern(both[0]), both[1]));
            }
            return sentences;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static Pattern pattern(String english) {
        StringBuilder regex = new StringBuilder();
        Matcher hole = HOLE.matcher(english);
        int at = 0;
        while (hole.find()) {
            regex.append(Pattern.quote(english.substring(at, hole.start())))
                    .append("(?<a")
                    .append(hole.group(2))
                    .append(">.+?)");
            at = hole.end();
        }
        return Pattern.compile(
                regex.append(Pattern.quote(english.substring(at))).toString(), Pattern.DOTALL);
    }
}
