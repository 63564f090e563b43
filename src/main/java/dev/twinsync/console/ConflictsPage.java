package dev.twinsync.console;

import com.fasterxml.jackson.databind.JsonNode;
import dev.twinsync.api.KnownRecords;
import dev.twinsync.api.Problem;
import dev.twinsync.record.Schemas;
import java.security.Principal;
import org.springframework.stereotype.Controller;
import org.springframework.ui.Model;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.servlet.mvc.support.RedirectAttributes;

/** Values that a rule did not take; each can be made true after all. */
@Controller
class ConflictsPage {

    private static final int PAGE = 50;

    private final KnownRecords known;
    private final Schemas schemas;
    private final Show show;

    ConflictsPage(KnownRecords known, Schemas schemas, Show show) {
        this.known = known;
        this.schemas = schemas;
        this.show = show;
    }

    @GetMapping("/console/conflicts")
    String conflicts(
            @RequestParam(defaultValue = "") String entity,
            @RequestParam(defaultValue = "") String id,
            @RequestParam(defaultValue = "open") String state,
            @RequestParam(required = false) Long after,
            Model page) {
        JsonNode found = known.conflicts(entity, id.strip(), state.equals("all") ? "" : state, after, PAGE, false);
        page.addAttribute("conflicts", found);
        page.addAttribute("schemas", schemas);
        page.addAttribute("entity", entity);
        page.addAttribute("id", id);
        page.addAttribute("state", state);
        page.addAttribute(
                "next", found.path("next").isNumber() ? found.path("next").asLong() : null);
        return "conflicts";
    }

    /** @param back where the person was: {@code record} or the list */
    @PostMapping("/console/conflicts/{conflict:\\d+}/restore")
    String restore(
            @PathVariable long conflict,
            @RequestParam(defaultValue = "") String reason,
            @RequestParam(defaultValue = "") String entity,
            @RequestParam(defaultValue = "") String id,
            Principal person,
            RedirectAttributes told) {
        try {
            known.restore(conflict, person.getName(), reason);
            told.addFlashAttribute("done", show.text("conflict.restored"));
        } catch (Problem refused) {
            told.addFlashAttribute("refused", show.text("conflict.refused", show.told(refused.getMessage())));
        }
        return "redirect:"
                + (schemas.has(entity) && !id.isEmpty()
                        ? FrontDoor.record(schemas.of(entity).plural(), id)
                        : "/console/conflicts");
    }
}
