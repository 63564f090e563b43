package dev.twinsync.deadletter;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.twinsync.record.Json;
import dev.twinsync.record.Masking;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.OutputStream;
import java.io.OutputStreamWriter;
import java.io.UncheckedIOException;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.springframework.stereotype.Component;

/** Letters as files, masked as everywhere; written as they are read, whatever their number. */
@Component
public class LetterExport {

    /** What a file of letters may be written as. */
    public static final List<String> FORMATS = List.of("jsonl", "csv");

    private static final List<String> COLUMNS = List.of(
            "id",
            "state",
            "entity",
            "key",
            "user",
            "system",
            "kind",
            "field",
            "route",
            "step",
            "group",
            "group_state",
            "version",
            "error/class",
            "error/code",
            "error/status",
            "error/message",
            "attempts",
            "first_failed_at",
            "last_failed_at",
            "closed_at",
            "superseded_by",
            "reason");

    private final Letters letters;

    LetterExport(Letters letters) {
        this.letters = letters;
    }

    /** @param format csv or jsonl */
    public void write(String format, LetterFilter filter, OutputStream to) throws IOException {
        if (format.equals("csv")) {
            csv(filter, to);
        } else {
            jsonl(filter, to);
        }
    }

    /** A letter a line, whole. */
    private void jsonl(LetterFilter filter, OutputStream to) throws IOException {
        write(to, out -> letters.each(filter, letter -> line(out, Json.text(letter) + '\n')));
    }

    /** A letter a row, without message, headers and request; opened by a spreadsheet, no cell is a formula. */
    private void csv(LetterFilter filter, OutputStream to) throws IOException {
        write(to, out -> {
            // spreadsheets take a file without this mark for one of another alphabet
            line(out, '\ufeff' + String.join(",", COLUMNS).replace('/', '_') + "\r\n");
            letters.each(filter, letter -> line(out, row(letter)));
        });
    }

    private interface Content {
        void write(Writer out);
    }

    private static void write(OutputStream to, Content content) throws IOException {
        try (Writer out = new BufferedWriter(new OutputStreamWriter(to, StandardCharsets.UTF_8))) {
            content.write(out);
        } catch (UncheckedIOException e) {
            throw e.getCause();
        }
    }

    private static void line(Writer out, String line) {
        try {
            out.write(line);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static String row(ObjectNode letter) {
        List<String> cells = new ArrayList<>();
        for (String column : COLUMNS) {
            JsonNode value = letter.at('/' + column);
            cells.add(cell(value.isMissingNode() || value.isNull() ? "" : value.asText()));
        }
        return String.join(",", cells) + "\r\n";
    }

    static String cell(String text) {
        String seen = Masking.visible(text);
        String harmless = !seen.isEmpty() && "=+-@\t\r\n|%".indexOf(seen.charAt(0)) >= 0 ? '\'' + seen : seen;
        return harmless.matches("[\\w.:/-]*") ? harmless : '"' + harmless.replace("\"", "\"\"") + '"';
    }
}
