package dev.twinsync.console;

import dev.twinsync.record.Schema;
import dev.twinsync.record.Schemas;
import java.security.Principal;
import java.util.ArrayList;
import java.util.List;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.stereotype.Controller;
import org.springframework.ui.Model;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.util.UriComponentsBuilder;

/** The way in: signing in, and finding something by its id. */
@Controller
class FrontDoor {

    /** @param kind an entity or {@code letter} */
    public record Found(String kind, String id, String href) {}

    private final Schemas schemas;
    private final JdbcTemplate jdbc;

    FrontDoor(Schemas schemas, JdbcTemplate jdbc) {
        this.schemas = schemas;
        this.jdbc = jdbc;
    }

    @GetMapping("/")
    String root() {
        return "redirect:/console";
    }

    @GetMapping("/login")
    String login(Principal person) {
        return person == null ? "login" : "redirect:/console";
    }

    /** A record, letter or user's order by what the operator has in hand: one hit is opened at once. */
    @GetMapping("/console/search")
    String search(@RequestParam(defaultValue = "") String q, Model page) {
        String asked = q.strip();
        boolean anId = !asked.isEmpty() && asked.length() <= 200 && asked.indexOf('\0') < 0;
        List<Found> found = anId ? find(asked) : List.of();
        if (found.size() == 1) {
            return "redirect:" + found.get(0).href();
        }
        page.addAttribute("q", asked);
        page.addAttribute("found", found);
        return "search";
    }

    private List<Found> find(String asked) {
        List<Found> found = new ArrayList<>();
        for (Schema schema : schemas.all()) {
            jdbc.queryForList("""
                            select id from golden where entity = ? and id = ?
                            union select id from base where entity = ? and id = ?""", String.class, schema.entity(), asked, schema.entity(), asked)
                    .forEach(id -> found.add(new Found(schema.entity(), id, record(schema.plural(), id))));
        }
        if (asked.matches("\\d{1,18}")) {
            jdbc.queryForList("select id from dead_letter where id = ?", Long.class, Long.parseLong(asked))
                    .forEach(id -> found.add(new Found("letter", String.valueOf(id), "/console/letters/" + id)));
        }
        jdbc.queryForList("select id from dead_letter where record_id = ? order by id desc limit 20", Long.class, asked)
                .forEach(id -> found.add(new Found("letter", String.valueOf(id), "/console/letters/" + id)));
        return found.stream().distinct().toList();
    }

    /** The page of a record. */
    static String record(String plural, String id) {
        return UriComponentsBuilder.fromPath("/console/{plural}/{id}")
                .buildAndExpand(plural, id)
                .encode()
                .toUriString();
    }
}
