package dev.twinsync;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Many users at once, some of whose data can't be used. */
class ImportTest {

    private static final String ID = "imp-";

    private final Ends ends = Ends.shared();

    private long atMini(String member) {
        return ends.mini.all("user").entrySet().stream()
                .filter(user -> user.getKey().startsWith(ID))
                .filter(user -> member == null || user.getValue().has(member))
                .count();
    }

    @Test
    void ofAThousandUsersWithThirtyUnusablePhonesAllElseCrosses() {
        ends.app.update("""
                insert into users (user_id, nickname, phone)
                select 'imp-' || n, '用户' || n, case when n % 100 < 3 then '12345' else '1380013' || lpad(n::text, 4, '0') end
                from generate_series(0, 999) n""");
        Ends.soon(() -> assertThat(atMini(null)).isEqualTo(1000));
        Ends.soon(() -> assertThat(ends.letters("state=open&q=" + ID)).hasSize(30));
        ends.quiet(ID);
        assertThat(atMini("nickname")).isEqualTo(1000);
        assertThat(atMini("phone")).isEqualTo(970);
        List<JsonNode> letters = ends.letters("q=" + ID);
        assertThat(letters).hasSize(30).allSatisfy(letter -> {
            assertThat(letter.path("field").asText()).isEqualTo("phone");
            assertThat(letter.path("system").asText()).isEqualTo("app");
            assertThat(letter.path("key").asText()).matches("imp-([1-9]0)?[0-2]");
            assertThat(letter.toString()).doesNotContain("12345");
        });

        ends.app.update("""
                update users set phone = '1390013' || lpad(substr(user_id, 5), 4, '0'), updated_at = clock_timestamp()
                where starts_with(user_id, 'imp-') and phone = '12345'""");
        Ends.soon(() -> assertThat(atMini("phone")).isEqualTo(1000));
        Ends.soon(() -> assertThat(ends.letters("state=open&q=" + ID)).isEmpty());
        assertThat(ends.letters("q=" + ID))
                .hasSize(30)
                .allSatisfy(letter -> assertThat(letter.path("state").asText()).isEqualTo("superseded"));
        ends.quiet(ID);
        assertThat(ends.differences("user", ID)).isEmpty();
    }
}
