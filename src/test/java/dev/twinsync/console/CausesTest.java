package dev.twinsync.console;

import static org.assertj.core.api.Assertions.assertThat;

import dev.twinsync.record.Schemas;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.springframework.context.i18n.LocaleContextHolder;
import org.springframework.context.support.ResourceBundleMessageSource;

/** Every cause says who mends it and how, in both languages. */
class CausesTest {

    private final Schemas schemas = Schemas.load(Path.of("routes"));
    private final Causes causes = new Causes(new Show(messages(), new Sentences(), schemas), schemas);

    private static ResourceBundleMessageSource messages() {
        ResourceBundleMessageSource messages = new ResourceBundleMessageSource();
        messages.setBasename("messages");
        messages.setDefaultEncoding("UTF-8");
        messages.setFallbackToSystemLocale(false);
        return messages;
    }

    @AfterEach
    void reset() {
        LocaleContextHolder.resetLocaleContext();
    }

    private static Map<String, Object> letter(String route, String step, String name, Integer status, String field) {
        Map<String, Object> error = new HashMap<>();
        error.put("class", name);
        error.put("status", status);
        error.put("code", status == null ? null : String.valueOf(status));
        error.put("field", field);
        return Map.of("entity", "user", "system", "mini", "route", route, "step", step, "error", error);
    }

    private static Map<String, Object> delivery(Integer status, String field) {
        return letter("deliver-mini-users", "deliver", "dev.twinsync.flow.CallFailed", status, field);
    }

    private static final String BUG = "java.lang.IllegalStateException";

    @Test
    void everyCauseSaysWhoMendsItAndHowInBothLanguages() {
        List<Map<String, Object>> letters = List.of(
                delivery(400, null),
                delivery(409, null),
                delivery(413, null),
                delivery(422, null),
                delivery(422, "phone"),
                delivery(451, null),
                delivery(500, null),
                delivery(503, null),
                letter("deliver-app-users", "deliver", "org.postgresql.util.PSQLException", null, null),
                letter("deliver-mini-users", "deliver", BUG, null, null),
                letter("merge-users", "normalise", "dev.twinsync.record.UnusableField", null, "phone"),
                letter("merge-users", "-", BUG, null, null),
                letter("feed-app-users", "feed-app-users.read", "java.lang.IllegalArgumentException", null, null),
                letter("billing", "-", BUG, null, null),
                letter("billing", "-", "dev.twinsync.deadletter.UnknownLetter", null, null));
        for (Locale reader : List.of(Locale.ENGLISH, Locale.SIMPLIFIED_CHINESE)) {
            LocaleContextHolder.setLocale(reader);
            assertThat(letters).allSatisfy(letter -> {
                Causes.Next next = causes.next(letter);
                assertThat(next.steps()).isNotEmpty();
                assertThat(next.who() + next.steps()).doesNotContain("next.", "{", "}");
                boolean chinese = next.steps().stream().allMatch(step -> step.matches("(?s).*\\p{IsHan}.*"));
                assertThat(chinese).isEqualTo(reader == Locale.SIMPLIFIED_CHINESE);
            });
        }
    }

    @Test
    void theRefusedFieldTheOtherSystemsAndTheFolderAreNamed() {
        LocaleContextHolder.setLocale(Locale.ENGLISH);
        Causes.Next value = causes.next(delivery(422, "phone"));
        assertThat(value.who()).contains("this user at App", "the team of Mini-program");
        assertThat(value.steps().get(0)).contains("this value of phone");
        assertThat(causes.next(delivery(400, null)).steps().get(1)).contains("routes/users/");
        assertThat(causes.next(letter("billing", "-", BUG, null, null)).who()).contains("the service that wrote it");
        // a failure of the same class is another's bug or ours: the flow tells
        assertThat(causes.next(letter("merge-users", "-", BUG, null, null)).who())
                .contains("developers of Twinsync");
    }
}
